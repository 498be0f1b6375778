package sightline.client;

import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.function.Function;

/** A call whose channel depends on its first message: it is opened when that is sent. */
final class DeferredCall<Q, A> extends ClientCall<Q, A> {
  private final Function<Q, ClientCall<Q, A>> open;
  private ClientCall<Q, A> call;
  private Listener<A> listener;
  private Metadata headers;
  private int requested;
  private boolean ended;

  DeferredCall(Function<Q, ClientCall<Q, A>> open) {
    this.open = open;
  }

  @Override
  public synchronized void start(Listener<A> listener, Metadata headers) {
    this.listener = listener;
    this.headers = headers;
  }

  @Override
  public synchronized void request(int messages) {
    if (call == null) {
      requested += messages;
    } else {
      call.request(messages);
    }
  }

  @Override
  public synchronized void sendMessage(Q message) {
    if (ended) {
      return;
    }
    if (call == null) {
      call = open.apply(message);
      call.start(listener, headers);
      if (requested > 0) {
        call.request(requested);
      }
    }
    call.sendMessage(message);
  }

  @Override
  public synchronized void halfClose() {
    if (call == null) {
      cancel("the call has no request", null);
    } else {
      call.halfClose();
    }
  }

  @Override
  public synchronized void cancel(String message, Throwable cause) {
    if (call != null) {
      call.cancel(message, cause);
    } else if (!ended && listener != null) {
      ended = true;
      listener.onClose(Status.CANCELLED.withDescription(message).withCause(cause), new Metadata());
    }
  }
}
