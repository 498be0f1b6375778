package sightline.client;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import sightline.common.v1.Filter;
import sightline.common.v1.Shopper;
import sightline.gateway.v1.QuerySignal;

/** Short forms of the contract's messages that most requests hold; use them by a static import. */
public final class Values {
  /** The maximum number of bytes of a photo. */
  public static final int MAX_PHOTO_BYTES = 10 << 20;

  private Values() {}

  /**
   * Returns a signal: products that look like a photo. See the contract for formats.
   *
   * @throws IllegalArgumentException if the photo is empty or has more than 10 MiB
   */
  public static QuerySignal photo(byte[] file) {
    check(file.length);
    return QuerySignal.newBuilder().setImage(ByteString.copyFrom(file)).build();
  }

  /**
   * Returns a signal: products that look like the photo in a file.
   *
   * @throws IOException if the file can't be read
   * @throws IllegalArgumentException if the file is empty or has more than 10 MiB; it is then not read
   */
  public static QuerySignal photo(Path file) throws IOException {
    check(Files.size(file));
    return photo(Files.readAllBytes(file));
  }

  /** Returns a signal: products that fit a text. */
  public static QuerySignal text(String text) {
    return QuerySignal.newBuilder().setText(text).build();
  }

  /** Returns a signal: products that are like a product of the catalog. */
  public static QuerySignal product(String id) {
    return QuerySignal.newBuilder().setProductId(id).build();
  }

  /** Returns a shopper that is logged in. */
  public static Shopper user(String id) {
    return Shopper.newBuilder().setUserId(id).build();
  }

  /** Returns a shopper that is known by a cookie alone. */
  public static Shopper visitor(String id) {
    return Shopper.newBuilder().setVisitorId(id).build();
  }

  /** Returns a filter as text, such as {@code "price < 30 EUR"}. */
  public static Filter filter(String text) {
    return Filter.newBuilder().setText(text).build();
  }

  private static void check(long bytes) {
    if (bytes == 0) {
      throw new IllegalArgumentException("the photo is empty");
    }
    if (bytes > MAX_PHOTO_BYTES) {
      throw new IllegalArgumentException(
          "the photo has " + bytes + " bytes; at most " + MAX_PHOTO_BYTES + " are allowed");
    }
  }
}
