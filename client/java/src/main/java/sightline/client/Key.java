package sightline.client;

import io.grpc.CallCredentials;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.concurrent.Executor;
import java.util.function.Supplier;

/** Sends the caller's key with each call. Without TLS too: the gateway then decides. */
final class Key extends CallCredentials {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final Supplier<String> token;

  Key(Supplier<String> token) {
    this.token = token;
  }

  @Override
  public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
    executor.execute(
        () -> {
          try {
            var headers = new Metadata();
            headers.put(AUTHORIZATION, "Bearer " + check(token.get()));
            applier.apply(headers);
          } catch (RuntimeException failed) {
            applier.fail(Status.UNAUTHENTICATED.withDescription(failed.getMessage()).withCause(failed));
          }
        });
  }

  @Override
  public void thisUsesUnstableApi() {}

  /** Returns the token. Throws an exception without the token in it, unless a header can hold the token. */
  private static String check(String given) {
    if (given == null || given.isEmpty()) {
      throw new IllegalStateException("the key is empty");
    }
    if (!given.chars().allMatch(each -> '!' <= each && each <= '~')) {
      throw new IllegalStateException("the key must be printable ASCII without spaces");
    }
    return given;
  }
}
