package sightline.client;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/**
 * Sends calls to the gateway, with the catalog, the key and a deadline. Products with an etag are sent over a channel
 * without retries: a retry would conflict with the first attempt.
 */
final class Connection extends Channel {
  /** The maximum size of a message, in both directions: a request may hold a photo of 10 MiB. */
  private static final int MAX_MESSAGE_BYTES = 32 << 20;

  private final ManagedChannel retrying;
  private final ManagedChannel once;
  private final Key key;
  private final String catalog;
  private final Duration timeout;

  Connection(SightlineClient.Builder set) {
    retrying = dial(set, true);
    once = dial(set, false);
    key = set.key == null ? null : new Key(set.key);
    catalog = set.catalog;
    timeout = set.timeout;
  }

  private static ManagedChannel dial(SightlineClient.Builder set, boolean retries) {
    var channel =
        Grpc.newChannelBuilder(set.address, set.credentials)
            .defaultLoadBalancingPolicy("round_robin")
            .disableServiceConfigLookUp()
            .maxInboundMessageSize(MAX_MESSAGE_BYTES)
            // A hung gateway keeps its connections open; it is noticed only by what it does not answer.
            .keepAliveTime(10, TimeUnit.SECONDS)
            .keepAliveTimeout(2, TimeUnit.SECONDS);
    if (!retries) {
      return channel.disableRetry().build();
    }
    return channel
        .enableRetry()
        // By default messages over 1 MiB, as some photos are, are not retried.
        .perRpcBufferLimit(MAX_MESSAGE_BYTES)
        .retryBufferSize(16L * MAX_MESSAGE_BYTES)
        .defaultServiceConfig(Retries.serviceConfig())
        .build();
  }

  @Override
  public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions given) {
    var options = given;
    // gRPC itself applies the deadline of the current Context, if that is earlier.
    if (method.getType().clientSendsOneMessage()
        && method.getType().serverSendsOneMessage()
        && options.getDeadline() == null
        && !timeout.isZero()) {
      options = options.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
    }
    if (key != null && options.getCredentials() == null) {
      options = options.withCallCredentials(key);
    }
    return new SimpleForwardingClientCall<>(open(method, options)) {
      @Override
      public void sendMessage(Q request) {
        super.sendMessage(withCatalog(request));
      }
    };
  }

  private <Q, A> ClientCall<Q, A> open(MethodDescriptor<Q, A> method, CallOptions options) {
    if (!Etags.mayBeIn(method)) {
      return retrying.newCall(method, options);
    }
    return new DeferredCall<>(request -> (Etags.areIn(request) ? once : retrying).newCall(method, options));
  }

  @SuppressWarnings("unchecked") // a builder of a message builds a message of the same class
  private <Q> Q withCatalog(Q request) {
    return request instanceof Message message ? (Q) withCatalog(message, catalog) : request;
  }

  /** Returns a request with the catalog, unless it, or the request within it, names one. */
  static Message withCatalog(Message request, String catalog) {
    var fields = request.getDescriptorForType();
    FieldDescriptor named = fields.findFieldByName("catalog_id");
    FieldDescriptor inner = fields.findFieldByName("request");
    var names = named == null || !request.getField(named).equals("");
    var holds = inner != null && inner.getJavaType() == FieldDescriptor.JavaType.MESSAGE && request.hasField(inner);
    if (names && !holds) {
      return request;
    }
    var changed = request.toBuilder();
    if (!names) {
      changed.setField(named, catalog);
    }
    if (holds) {
      changed.setField(inner, withCatalog((Message) request.getField(inner), catalog));
    }
    return changed.build();
  }

  @Override
  public String authority() {
    return retrying.authority();
  }

  void close() {
    retrying.shutdownNow();
    once.shutdownNow();
  }
}
