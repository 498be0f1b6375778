package sightline.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;
import static sightline.client.Values.text;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.InsecureChannelCredentials;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.junit.After;
import org.junit.Test;
import sightline.common.v1.Product;
import sightline.common.v1.WatchJobRequest;
import sightline.gateway.v1.CatalogServiceGrpc;
import sightline.gateway.v1.ProductUpdate;
import sightline.gateway.v1.RecommendRequest;
import sightline.gateway.v1.RecommendValuesRequest;
import sightline.gateway.v1.UpdateProductsRequest;
import sightline.gateway.v1.UpsertProductsRequest;

public final class SightlineClientTest {
  private static final StatusRuntimeException DOWN =
      Status.UNAVAILABLE.withDescription("shutting down").asRuntimeException();

  private final FakeGateway gateway = new FakeGateway();

  @After
  public void stop() {
    gateway.close();
  }

  private SightlineClient client(UnaryOperator<SightlineClient.Builder> set) {
    return set.apply(SightlineClient.builder(gateway.address()).plaintext()).build();
  }

  private SightlineClient client() {
    return client(set -> set);
  }

  private static RecommendRequest request() {
    return RecommendRequest.newBuilder().addSignals(text("red")).build();
  }

  private static UpsertProductsRequest upsert(String etag) {
    var product = Product.newBuilder().setProductId("p1").setEtag(etag);
    return UpsertProductsRequest.newBuilder().addProducts(product).build();
  }

  private static SightlineError errorOf(Runnable call) {
    return SightlineError.of(assertThrows(StatusRuntimeException.class, call::run));
  }

  @Test
  public void aCallHasCatalogKeyAndDeadline() {
    try (var client = client(set -> set.key("slk_a").catalog("shoes").timeout(java.time.Duration.ofMinutes(1)))) {
      assertEquals("t", client.recommendations().recommend(request()).getAttributionToken());
      client.recommendations().recommend(request().toBuilder().setCatalogId("hats").build());
    }
    assertEquals(List.of("shoes", "hats"), gateway.catalogs);
    assertEquals(List.of("Bearer slk_a", "Bearer slk_a"), gateway.tokens);
    assertTrue(gateway.secondsLeft.toString(), gateway.secondsLeft.stream().allMatch(each -> 0 < each && each <= 60));
  }

  @Test
  public void aCallKeepsTheDeadlineThatItHas() {
    try (var client = client()) {
      client.recommendations().withDeadlineAfter(1, TimeUnit.HOURS).recommend(request());
    }
    assertTrue(gateway.secondsLeft.toString(), gateway.secondsLeft.get(0) > 60);
  }

  @Test
  public void aTimeoutOfZeroIsNoDeadline() {
    try (var client = client(set -> set.timeout(java.time.Duration.ZERO))) {
      client.recommendations().recommend(request());
    }
    assertTrue(gateway.secondsLeft.isEmpty());
    var builder = SightlineClient.builder("a:1");
    assertThrows(IllegalArgumentException.class, () -> builder.timeout(java.time.Duration.ofNanos(-1)));
  }

  @Test
  public void aRequestWithinARequestHasTheCatalogToo() {
    var outer = RecommendValuesRequest.newBuilder().setRequest(request()).build();
    var sent = (RecommendValuesRequest) Connection.withCatalog(outer, "shoes");
    assertEquals("shoes", sent.getRequest().getCatalogId());
    var without = Values.user("u1");
    assertSame(without, Connection.withCatalog(without, "shoes"));
  }

  @Test
  public void aPassingFailureIsRetriedUnlessAProductHasAnEtag() {
    try (var client = client()) {
      gateway.fail(DOWN, DOWN);
      client.recommendations().recommend(request());
      assertEquals(3, gateway.catalogs.size());
      gateway.fail(DOWN, DOWN);
      client.catalog().upsertProducts(upsert(""));
      assertEquals(6, gateway.catalogs.size());
      gateway.fail(DOWN);
      assertEquals(Code.UNAVAILABLE, errorOf(() -> client.catalog().upsertProducts(upsert("7"))).code());
      var update = ProductUpdate.newBuilder().setProduct(Product.newBuilder().setEtag("7"));
      gateway.fail(DOWN);
      errorOf(() -> client.catalog().updateProducts(UpdateProductsRequest.newBuilder().addUpdates(update).build()));
      assertEquals(8, gateway.catalogs.size());
    }
  }

  @Test
  public void aWriteThatDoesNotBlockIsAnsweredAndCanBeCancelled() throws Exception {
    try (var client = client()) {
      var writer = CatalogServiceGrpc.newFutureStub(client.channel());
      writer.upsertProducts(upsert("7")).get(1, TimeUnit.MINUTES);
      gateway.hang();
      var waiting = writer.upsertProducts(upsert(""));
      waiting.cancel(true);
      assertThrows(CancellationException.class, waiting::get);
    }
  }

  @Test
  public void anErrorHasReasonFieldsAndDelay() {
    var invalid = BadRequest.FieldViolation.newBuilder().setField("page_size").setDescription("must be 1 to 200");
    var info = ErrorInfo.newBuilder().setReason("QUOTA_EXHAUSTED").putMetadata("quota", "calls").build();
    var delay = RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setSeconds(1).setNanos(500_000_000)).build();
    gateway.fail(
        StatusProto.toStatusRuntimeException(
            com.google.rpc.Status.newBuilder()
                .setCode(Code.RESOURCE_EXHAUSTED.value())
                .setMessage("too many")
                .addDetails(Any.pack(info))
                .addDetails(Any.pack(delay))
                .addDetails(Any.pack(BadRequest.newBuilder().addFieldViolations(invalid).build()))
                .build()));
    try (var client = client()) {
      var error = errorOf(() -> client.recommendations().recommend(request()));
      assertEquals(
          new SightlineError(
              Code.RESOURCE_EXHAUSTED,
              "QUOTA_EXHAUSTED",
              "too many",
              List.of(new SightlineError.FieldViolation("page_size", "must be 1 to 200")),
              java.time.Duration.ofMillis(1500),
              Map.of("quota", "calls")),
          error);
      assertFalse(error.whatToDo().isEmpty());
    }
  }

  @Test
  public void anUnreadableDetailAndAnotherExceptionAreNoReason() {
    var type = "type.googleapis.com/google.rpc.ErrorInfo";
    var broken = Any.newBuilder().setTypeUrl(type).setValue(ByteString.copyFromUtf8("\u0007"));
    var status = com.google.rpc.Status.newBuilder().setCode(Code.ABORTED.value()).addDetails(broken).build();
    assertEquals("", SightlineError.ofItem(status).orElseThrow().reason());
    assertEquals(Code.UNKNOWN, SightlineError.of(new IOException("no file")).code());
    assertEquals("", SightlineError.of(new IOException("no file")).whatToDo());
  }

  @Test
  public void aStreamHasNoDeadlineAndEnds() {
    gateway.fail(null, Status.NOT_FOUND.asRuntimeException());
    try (var client = client(set -> set.key("slk_a"))) {
      var watch = WatchJobRequest.newBuilder().setJobId("j").build();
      var jobs = client.jobs().watchJob(watch);
      jobs.next();
      assertFalse(jobs.hasNext());
      var failing = client.jobs().watchJob(watch);
      failing.next();
      assertEquals(Code.NOT_FOUND, errorOf(failing::hasNext).code());
    }
    assertTrue(gateway.secondsLeft.isEmpty());
  }

  @Test
  public void noGatewayIsAReasonToo() {
    try (var client = SightlineClient.builder("127.0.0.1:1").plaintext().build()) {
      var error = errorOf(() -> client.recommendations().recommend(request()));
      assertEquals(SightlineError.GATEWAY_UNREACHABLE, error.reason());
      assertFalse(error.whatToDo().isEmpty());
    }
  }

  @Test
  public void anItemOfABatchHasAnErrorOfItsOwn() {
    assertTrue(SightlineError.ofItem(com.google.rpc.Status.getDefaultInstance()).isEmpty());
    var changed = com.google.rpc.Status.newBuilder().setCode(Code.ABORTED.value()).setMessage("changed").build();
    assertEquals(Code.ABORTED, SightlineError.ofItem(changed).orElseThrow().code());
  }

  @Test
  public void aKeyThatNoHeaderHoldsIsRefusedAndNotInTheError() {
    for (var key : List.of("slk secret", "slk_secret\n", "")) {
      try (var client = client(set -> set.key(key))) {
        var error = errorOf(() -> client.recommendations().recommend(request()));
        assertEquals(Code.UNAUTHENTICATED, error.code());
        assertFalse(error.message(), error.message().contains("secret"));
      }
    }
    assertTrue(gateway.tokens.isEmpty());
  }

  @Test
  public void tlsIsTheDefault() {
    assertTrue(SightlineClient.builder("a:1").credentials instanceof TlsChannelCredentials);
    assertTrue(SightlineClient.builder("a:1").plaintext().credentials instanceof InsecureChannelCredentials);
  }

  @Test
  public void aPhotoHasOneByteToTenMebibytes() throws IOException {
    assertEquals(1, Values.photo(new byte[1]).getImage().size());
    assertThrows(IllegalArgumentException.class, () -> Values.photo(new byte[0]));
    assertThrows(IllegalArgumentException.class, () -> Values.photo(new byte[Values.MAX_PHOTO_BYTES + 1]));
    var file = Files.createTempFile("photo", ".jpg");
    try {
      assertThrows(IllegalArgumentException.class, () -> Values.photo(file));
      Files.write(file, new byte[] {1, 2});
      assertEquals(2, Values.photo(file).getImage().size());
    } finally {
      Files.delete(file);
    }
  }
}
