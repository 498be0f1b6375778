package sightline.client;

import io.grpc.MethodDescriptor;
import java.util.Set;
import sightline.gateway.v1.CatalogServiceGrpc;
import sightline.gateway.v1.UpdateProductsRequest;
import sightline.gateway.v1.UpsertProductsRequest;

/** The requests whose products may have an etag. */
final class Etags {
  private static final Set<String> METHODS =
      Set.of(
          CatalogServiceGrpc.getUpsertProductsMethod().getFullMethodName(),
          CatalogServiceGrpc.getUpdateProductsMethod().getFullMethodName());

  private Etags() {}

  static boolean mayBeIn(MethodDescriptor<?, ?> method) {
    return METHODS.contains(method.getFullMethodName());
  }

  static boolean areIn(Object request) {
    if (request instanceof UpsertProductsRequest upsert) {
      return upsert.getProductsList().stream().anyMatch(each -> !each.getEtag().isEmpty());
    }
    return request instanceof UpdateProductsRequest update
        && update.getUpdatesList().stream().anyMatch(each -> !each.getProduct().getEtag().isEmpty());
  }
}
