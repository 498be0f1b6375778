"""Translation of pymilvus's errors."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

from pymilvus import MilvusException
from pymilvus import exceptions as vendor

from retriever.domain import errors

# It logs every failed call with the request's text, at ERROR, through handlers of its own.
for _name in ("pymilvus", "pymilvus.milvus_client", "pymilvus.bulk_writer"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

CODES: Mapping[int, type[Exception]] = MappingProxyType(
    {
        4: errors.CollectionAbsent,  # CollectionNotExists before 2.3.2
        6: errors.IndexRefused,  # IllegalArgument, Milvus Lite's word for a bad row or expression
        100: errors.CollectionAbsent,
        101: errors.CollectionReleased,
        1100: errors.IndexRefused,  # ParameterInvalid
        1101: errors.IndexRefused,  # ParameterMissing
        1102: errors.IndexRefused,  # ParameterTooLarge
    }
)
"""Codes of a status, https://github.com/milvus-io/milvus/blob/master/pkg/util/merr/errors.go.

Every other one is IndexUnavailable: code 1 alone means "service not ready" to the server and
"anything unexpected" to Milvus Lite."""
TYPES: Mapping[type[MilvusException], type[Exception] | None] = MappingProxyType(
    {
        MilvusException: None,
        vendor.ConnectError: errors.IndexUnavailable,
        vendor.MilvusUnavailableException: errors.IndexUnavailable,
        vendor.ConnectionNotExistException: errors.IndexUnavailable,
        vendor.SchemaMismatchRetryableException: errors.IndexUnavailable,
        vendor.CollectionNotExistException: errors.CollectionAbsent,
        vendor.DescribeCollectionException: None,
        vendor.IndexNotExistException: errors.CollectionAbsent,
        vendor.PartitionAlreadyExistException: errors.IndexRefused,
        vendor.AmbiguousIndexName: errors.IndexRefused,
        vendor.CannotInferSchemaException: errors.IndexRefused,
        vendor.SchemaNotReadyException: errors.IndexRefused,
        vendor.DataTypeNotMatchException: errors.IndexRefused,
        vendor.DataTypeNotSupportException: errors.IndexRefused,
        vendor.DataNotMatchException: errors.IndexRefused,
        vendor.ConnectionConfigException: errors.IndexRefused,
        vendor.PrimaryKeyException: errors.IndexRefused,
        vendor.PartitionKeyException: errors.IndexRefused,
        vendor.ClusteringKeyException: errors.IndexRefused,
        vendor.FieldsTypeException: errors.IndexRefused,
        vendor.FunctionsTypeException: errors.IndexRefused,
        vendor.FieldTypeException: errors.IndexRefused,
        vendor.AutoIDException: errors.IndexRefused,
        vendor.InvalidConsistencyLevel: errors.IndexRefused,
        vendor.ServerVersionIncompatibleException: errors.IndexUnavailable,
        vendor.ParamError: errors.IndexRefused,
    }
)
"""Every error class of pymilvus. `None`: its code decides. A test proves the table complete."""


def translate(error: Exception) -> Exception:
    """Return the error of domain/errors.py for an error of pymilvus."""
    meaning: type[Exception] | None = errors.IndexUnavailable  # grpc.RpcError, a timeout
    if isinstance(error, MilvusException):
        meaning = TYPES.get(type(error))
        if meaning is None and isinstance(error.code, int):  # a grpc.StatusCode after retries
            meaning = CODES.get(error.code)
    return (meaning or errors.IndexUnavailable)()
