import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import sightline.common.v1.Event;
import sightline.common.v1.EventType;
import sightline.common.v1.Shopper;
import sightline.gateway.v1.QuerySignal;
import sightline.gateway.v1.RecommendRequest;
import sightline.gateway.v1.RecommendResponse;
import sightline.gateway.v1.RecommendationServiceGrpc;
import sightline.gateway.v1.UserEventServiceGrpc;
import sightline.gateway.v1.WriteEventsRequest;

/**
 * Recommends products by a photo, writes a click on the first of them, and handles two errors.
 * Usage: java Client HOST:PORT PHOTO
 */
public final class Client {
  /** The deadline: long, for a busy laptop; a shopper's page should wait 1 or 2 s. */
  private static final long PATIENCE_MILLISECONDS = 20_000;

  private final RecommendationServiceGrpc.RecommendationServiceBlockingStub recommendations;
  private final UserEventServiceGrpc.UserEventServiceBlockingStub events;

  private Client(ManagedChannel channel) {
    recommendations = RecommendationServiceGrpc.newBlockingStub(channel);
    events = UserEventServiceGrpc.newBlockingStub(channel);
  }

  /** Calls with a deadline. The service answers within it; degradations name what is missing. */
  private RecommendResponse recommend(RecommendRequest request, long milliseconds) {
    return recommendations
        .withDeadlineAfter(milliseconds, TimeUnit.MILLISECONDS)
        .recommend(request);
  }

  /** Sends one event; it is durable when this returns. */
  private void write(Event event) {
    var request = WriteEventsRequest.newBuilder().addEvents(event).build();
    var written =
        events
            .withDeadlineAfter(PATIENCE_MILLISECONDS, TimeUnit.MILLISECONDS)
            .writeEvents(request);
    for (var status : written.getStatusesList()) {
      if (status.getCode() != 0) {
        System.out.println("not kept: " + status.getMessage());
      }
    }
    System.out.println("written: " + written.getWrittenCount());
  }

  /** Returns an error's reason (docs/integrate/errors.md); "" if no service of Sightline raised it. */
  private static String reason(StatusRuntimeException error)
      throws InvalidProtocolBufferException {
    var status = StatusProto.fromThrowable(error);
    if (status != null) {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          return detail.unpack(ErrorInfo.class).getReason();
        }
      }
    }
    return "";
  }

  private void run(Path photo) throws Exception {
    var visitor = Shopper.newBuilder().setVisitorId("visitor-of-java").build();
    var image = ByteString.copyFrom(Files.readAllBytes(photo));
    var request =
        RecommendRequest.newBuilder()
            .addSignals(QuerySignal.newBuilder().setImage(image))
            .setShopper(visitor)
            .setPageSize(5)
            .build();
    var answer = recommend(request, PATIENCE_MILLISECONDS);
    for (var each : answer.getResultsList()) {
      var product = each.getProduct();
      System.out.printf(
          "%d. %s %s%n", each.getRank(), product.getProductId(), product.getTitle());
    }
    for (var lost : answer.getDegradationsList()) {
      System.out.println("degraded: " + lost.getCause());
    }

    write(
        Event.newBuilder()
            .setEventId(UUID.randomUUID().toString()) // events with the same id count once
            .setShopper(visitor)
            .setType(EventType.EVENT_TYPE_CLICK)
            .setProductId(answer.getResults(0).getProduct().getProductId())
            .setPosition(1)
            .setAttributionToken(answer.getAttributionToken())
            .build());

    try {
      recommend(request.toBuilder().setPageSize(1000).build(), PATIENCE_MILLISECONDS);
    } catch (StatusRuntimeException refused) {
      var status = refused.getStatus();
      System.out.printf(
          "refused: %s %s: %s%n", status.getCode(), reason(refused), status.getDescription());
    }
    try {
      // A deadline of 0 is exceeded at once. With a short deadline, the answer may be degraded.
      recommend(request, 0);
    } catch (StatusRuntimeException late) {
      System.out.println("too late: " + late.getStatus().getCode());
    }
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 2) {
      System.err.println("usage: java Client HOST:PORT PHOTO");
      System.exit(2);
    }
    // In production without usePlaintext(): TLS is the default.
    var channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();
    try {
      new Client(channel).run(Path.of(arguments[1]));
    } finally {
      channel.shutdownNow();
    }
  }
}
