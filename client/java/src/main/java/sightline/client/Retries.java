package sightline.client;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** Retries of the methods that the contract marks as idempotent, within a budget. */
final class Retries {
  private Retries() {}

  /** Returns gRPC's configuration. Its numbers are of type Double, as gRPC demands. */
  static Map<String, ?> serviceConfig() {
    var policy =
        Map.of(
            "maxAttempts", 5.0,
            "initialBackoff", "0.1s",
            "maxBackoff", "1s",
            "backoffMultiplier", 2.0,
            // CANCELLED calls arrived while a gateway was shutting down.
            "retryableStatusCodes", List.of("UNAVAILABLE", "CANCELLED"));
    return Map.of(
        "methodConfig", List.of(Map.of("name", idempotent(), "retryPolicy", policy)),
        "retryThrottling", Map.of("maxTokens", 400.0, "tokenRatio", 0.1));
  }

  /** Reads the methods that may be sent again: lines SERVICE/METHOD, written with the generated code. */
  private static List<Map<String, String>> idempotent() {
    try (var file = Retries.class.getResourceAsStream("idempotent.txt")) {
      return new String(file.readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .map(line -> line.split("/"))
          .map(name -> Map.of("service", name[0], "method", name[1]))
          .toList();
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }
}
