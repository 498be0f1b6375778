package sightline.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status.Code;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;

/**
 * The error of a failed call, or of a failed item of a batch.
 *
 * @param code gRPC's code
 * @param reason machine-readable, such as {@code "IMAGE_UNDECODABLE"}; {@code ""} if the server gave none. Decide by
 *     it.
 * @param message says what is wrong, in English
 * @param fields the invalid fields of the request
 * @param retryAfter the delay before a retry; zero if the server named none
 * @param metadata further facts by name
 */
public record SightlineError(
    Code code,
    String reason,
    String message,
    List<FieldViolation> fields,
    Duration retryAfter,
    Map<String, String> metadata) {

  /** The reason of calls that no gateway answered. */
  public static final String GATEWAY_UNREACHABLE = "GATEWAY_UNREACHABLE";

  private static final Properties ADVICE = advice();

  /**
   * The error of one field of a request.
   *
   * @param field the path of the field, such as {@code "filter.all.filters[1].comparison.field"}
   * @param description says what is wrong and what would be right
   */
  public record FieldViolation(String field, String description) {}

  /**
   * Returns the error of a call: of gRPC's {@code StatusRuntimeException} and {@code StatusException}, also as a cause
   * of another exception. Any other exception has the code UNKNOWN and no reason.
   */
  public static SightlineError of(Throwable failure) {
    var status = StatusProto.fromThrowable(failure);
    if (status == null) {
      return new SightlineError(Code.UNKNOWN, "", String.valueOf(failure), List.of(), Duration.ZERO, Map.of());
    }
    var error = read(status);
    return error.code == Code.UNAVAILABLE && error.reason.isEmpty() ? error.as(GATEWAY_UNREACHABLE) : error;
  }

  /** Returns the error of one item of a batch; empty if the item succeeded. */
  public static Optional<SightlineError> ofItem(com.google.rpc.Status item) {
    return item.getCode() == 0 ? Optional.empty() : Optional.of(read(item));
  }

  /** Says what to do about the reason, in English; {@code ""} if nothing is known. */
  public String whatToDo() {
    return ADVICE.getProperty(reason, "");
  }

  private SightlineError as(String other) {
    return new SightlineError(code, other, message, fields, retryAfter, metadata);
  }

  /** Reads the details of google.rpc. Those that can't be read are omitted. */
  private static SightlineError read(com.google.rpc.Status status) {
    var info = detail(status, ErrorInfo.getDefaultInstance());
    var delay = detail(status, RetryInfo.getDefaultInstance()).getRetryDelay();
    var fields =
        detail(status, BadRequest.getDefaultInstance()).getFieldViolationsList().stream()
            .map(each -> new FieldViolation(each.getField(), each.getDescription()))
            .toList();
    return new SightlineError(
        io.grpc.Status.fromCodeValue(status.getCode()).getCode(),
        info.getReason(),
        status.getMessage(),
        fields,
        Duration.ofSeconds(delay.getSeconds(), delay.getNanos()),
        Map.copyOf(info.getMetadataMap()));
  }

  @SuppressWarnings("unchecked") // the parser of a message returns a message of the same class
  private static <M extends Message> M detail(com.google.rpc.Status status, M absent) {
    for (Any each : status.getDetailsList()) {
      if (each.is(absent.getClass())) {
        try {
          return (M) absent.getParserForType().parseFrom(each.getValue());
        } catch (InvalidProtocolBufferException unreadable) {
          return absent;
        }
      }
    }
    return absent;
  }

  private static Properties advice() {
    var found = new Properties();
    try (var file = SightlineError.class.getResourceAsStream("advice.properties")) {
      found.load(new InputStreamReader(file, StandardCharsets.UTF_8));
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    found.setProperty(
        GATEWAY_UNREACHABLE, "check the address, that the gateway runs, and that both sides use TLS or neither does");
    return found;
  }
}
