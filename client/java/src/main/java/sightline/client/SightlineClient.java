package sightline.client;

import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.time.Duration;
import java.util.Objects;
import java.util.function.Supplier;
import sightline.common.v1.JobServiceGrpc;
import sightline.common.v1.JobServiceGrpc.JobServiceBlockingStub;
import sightline.gateway.v1.CatalogServiceGrpc;
import sightline.gateway.v1.CatalogServiceGrpc.CatalogServiceBlockingStub;
import sightline.gateway.v1.RecommendationServiceGrpc;
import sightline.gateway.v1.RecommendationServiceGrpc.RecommendationServiceBlockingStub;
import sightline.gateway.v1.UserEventServiceGrpc;
import sightline.gateway.v1.UserEventServiceGrpc.UserEventServiceBlockingStub;

/**
 * A client of the gateway of a Sightline suite. It adds to the generated code a connection with deadlines, retries and
 * the caller's key. It is safe for concurrent use: create one and keep it. Failed calls throw gRPC's
 * {@code StatusRuntimeException}; {@link SightlineError#of} reads its reason.
 */
public final class SightlineClient implements AutoCloseable {
  private final Connection connection;

  private SightlineClient(Connection connection) {
    this.connection = connection;
  }

  /**
   * Returns a builder of a client of the gateway at an address such as {@code "reco.shop.example:8600"}. The client
   * opens no connection before its first call.
   */
  public static Builder builder(String address) {
    return new Builder(address);
  }

  /** Returns the calls that recommend, search and list products. */
  public RecommendationServiceBlockingStub recommendations() {
    return RecommendationServiceGrpc.newBlockingStub(connection);
  }

  /** Returns the calls that write and read products. */
  public CatalogServiceBlockingStub catalog() {
    return CatalogServiceGrpc.newBlockingStub(connection);
  }

  /** Returns the calls that write and read shoppers' events. */
  public UserEventServiceBlockingStub events() {
    return UserEventServiceGrpc.newBlockingStub(connection);
  }

  /** Returns the calls that follow and cancel jobs. */
  public JobServiceBlockingStub jobs() {
    return JobServiceGrpc.newBlockingStub(connection);
  }

  /**
   * Returns the connection, for other services and for calls that do not block: {@code
   * RecommendationServiceGrpc.newFutureStub(client.channel())}.
   */
  public Channel channel() {
    return connection;
  }

  /** Closes the connection. Calls in progress fail. */
  @Override
  public void close() {
    connection.close();
  }

  /** Settings of a client. */
  public static final class Builder {
    final String address;
    ChannelCredentials credentials = TlsChannelCredentials.create();
    Supplier<String> key;
    String catalog = "default";
    Duration timeout = Duration.ofSeconds(10);

    private Builder(String address) {
      this.address = Objects.requireNonNull(address, "address");
    }

    /** Sends a token that identifies the caller with every call. Default: none is sent. */
    public Builder key(String token) {
      Objects.requireNonNull(token, "token");
      return key(() -> token);
    }

    /** Sends the token that the function returns, which is called before each call and may block. */
    public Builder key(Supplier<String> token) {
      key = Objects.requireNonNull(token, "token");
      return this;
    }

    /** Sets the catalog of requests that name none. Default: {@code "default"}. */
    public Builder catalog(String id) {
      catalog = Objects.requireNonNull(id, "id");
      return this;
    }

    /**
     * Sets the deadline of calls that have none, with all their attempts; zero: no deadline. Streams have none by
     * default. Default: 10 seconds.
     *
     * @throws IllegalArgumentException if the limit is negative
     */
    public Builder timeout(Duration limit) {
      if (limit.isNegative()) {
        throw new IllegalArgumentException("the timeout must be zero or more");
      }
      timeout = limit;
      return this;
    }

    /** Sets certificates: see {@link TlsChannelCredentials}. Default: the authorities that Java trusts. */
    public Builder credentials(ChannelCredentials certificates) {
      credentials = Objects.requireNonNull(certificates, "certificates");
      return this;
    }

    /** Turns TLS off, for a gateway on the same machine. */
    public Builder plaintext() {
      return credentials(InsecureChannelCredentials.create());
    }

    /** Returns the client. */
    public SightlineClient build() {
      return new SightlineClient(new Connection(this));
    }
  }
}
