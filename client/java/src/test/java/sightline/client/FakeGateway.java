package sightline.client;

import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.TimeUnit;
import sightline.common.v1.Job;
import sightline.common.v1.JobServiceGrpc;
import sightline.common.v1.WatchJobRequest;
import sightline.gateway.v1.CatalogServiceGrpc;
import sightline.gateway.v1.RecommendRequest;
import sightline.gateway.v1.RecommendResponse;
import sightline.gateway.v1.RecommendationServiceGrpc;
import sightline.gateway.v1.UpdateProductsRequest;
import sightline.gateway.v1.UpsertProductsRequest;
import sightline.gateway.v1.UpsertProductsResponse;

/** Answers from a list of errors, one for each attempt, and then well. It keeps what it received. */
final class FakeGateway implements ServerInterceptor, AutoCloseable {
  final List<String> catalogs = new ArrayList<>();
  final List<String> tokens = new ArrayList<>();
  final List<Long> secondsLeft = new ArrayList<>();

  private final Queue<RuntimeException> failures = new LinkedList<>();
  private boolean hanging;
  private final Server server;

  FakeGateway() {
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Recommendations())
            .addService(new Catalog())
            .addService(new Jobs())
            .intercept(this)
            .build();
    try {
      server.start();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  String address() {
    return "127.0.0.1:" + server.getPort();
  }

  /** Fails the next attempts; null: the attempt succeeds. */
  synchronized void fail(RuntimeException... next) {
    failures.addAll(Arrays.asList(next));
  }

  /** Answers no further attempt. */
  synchronized void hang() {
    hanging = true;
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  @Override
  public <Q, A> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
    var token = headers.get(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER));
    var deadline = Context.current().getDeadline();
    synchronized (this) {
      if (token != null) {
        tokens.add(token);
      }
      if (deadline != null) {
        secondsLeft.add(deadline.timeRemaining(TimeUnit.SECONDS));
      }
    }
    return next.startCall(call, headers);
  }

  private synchronized <A> void answer(String catalog, A answer, StreamObserver<A> observer) {
    catalogs.add(catalog);
    if (hanging) {
      return;
    }
    var failure = failures.poll();
    if (failure != null) {
      observer.onError(failure);
      return;
    }
    if (answer != null) {
      observer.onNext(answer);
    }
    observer.onCompleted();
  }

  private final class Recommendations extends RecommendationServiceGrpc.RecommendationServiceImplBase {
    @Override
    public void recommend(RecommendRequest request, StreamObserver<RecommendResponse> observer) {
      answer(request.getCatalogId(), RecommendResponse.newBuilder().setAttributionToken("t").build(), observer);
    }
  }

  private final class Catalog extends CatalogServiceGrpc.CatalogServiceImplBase {
    @Override
    public void upsertProducts(UpsertProductsRequest request, StreamObserver<UpsertProductsResponse> observer) {
      answer(request.getCatalogId(), UpsertProductsResponse.getDefaultInstance(), observer);
    }

    @Override
    public void updateProducts(UpdateProductsRequest request, StreamObserver<UpsertProductsResponse> observer) {
      answer(request.getCatalogId(), UpsertProductsResponse.getDefaultInstance(), observer);
    }
  }

  private final class Jobs extends JobServiceGrpc.JobServiceImplBase {
    @Override
    public void watchJob(WatchJobRequest request, StreamObserver<Job> observer) {
      observer.onNext(Job.getDefaultInstance());
      answer("", null, observer);
    }
  }
}
