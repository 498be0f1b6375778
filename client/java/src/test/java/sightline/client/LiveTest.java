package sightline.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;
import static sightline.client.Values.photo;
import static sightline.client.Values.visitor;

import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.Test;
import sightline.common.v1.Event;
import sightline.common.v1.EventType;
import sightline.gateway.v1.RecommendRequest;
import sightline.gateway.v1.WriteEventsRequest;

/** Calls a suite with products: SIGHTLINE_TARGET and SIGHTLINE_PHOTO name a gateway and a photo. */
public final class LiveTest {
  @Test
  public void aSuiteRecommendsByPhotoKeepsAClickAndRefuses() throws IOException {
    var target = System.getenv("SIGHTLINE_TARGET");
    var path = System.getenv("SIGHTLINE_PHOTO");
    assumeTrue("NOT MEASURED: SIGHTLINE_TARGET and SIGHTLINE_PHOTO are not set", target != null && path != null);
    var shopper = visitor("visitor-of-the-java-client");
    try (var client = SightlineClient.builder(target).plaintext().build()) {
      var request =
          RecommendRequest.newBuilder().addSignals(photo(Path.of(path))).setShopper(shopper).setPageSize(5).build();
      var answer = client.recommendations().recommend(request);
      assertEquals(5, answer.getResultsCount());
      var first = answer.getResults(0).getProduct().getProductId();
      System.out.println("first: " + first);
      var click =
          Event.newBuilder()
              .setEventId("java-client-" + first)
              .setShopper(shopper)
              .setType(EventType.EVENT_TYPE_CLICK)
              .setProductId(first)
              .setPosition(1)
              .setAttributionToken(answer.getAttributionToken());
      var written = client.events().writeEvents(WriteEventsRequest.newBuilder().addEvents(click).build());
      assertEquals(1, written.getStatusesCount());
      assertTrue(SightlineError.ofItem(written.getStatuses(0)).isEmpty());
      var tooLong = request.toBuilder().setPageSize(1000).build();
      var refused =
          assertThrows(StatusRuntimeException.class, () -> client.recommendations().recommend(tooLong));
      var error = SightlineError.of(refused);
      assertEquals("PAGE_SIZE_INVALID", error.reason());
      assertEquals("page_size", error.fields().get(0).field());
    }
  }
}
