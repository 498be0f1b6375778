"""What pymilvus's errors mean."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from pymilvus import MilvusException
from pymilvus import exceptions as vendor

from retriever.domain import errors


class Meaning(Enum):
    """What an error of the vendor means to us."""

    UNAVAILABLE = errors.IndexUnavailable
    REFUSED = errors.IndexRefused
    ABSENT = errors.CollectionAbsent
    RELEASED = errors.CollectionReleased
    BY_CODE = None


CODES: Mapping[int, Meaning] = MappingProxyType(
    {
        4: Meaning.ABSENT,  # CollectionNotExists before 2.3.2
        6: Meaning.REFUSED,  # IllegalArgument, Milvus Lite's word for a bad row or expression
        100: Meaning.ABSENT,
        101: Meaning.RELEASED,
        1100: Meaning.REFUSED,  # ParameterInvalid
        1101: Meaning.REFUSED,  # ParameterMissing
        1102: Meaning.REFUSED,  # ParameterTooLarge
    }
)
"""Codes of a status, https://github.com/milvus-io/milvus/blob/master/pkg/util/merr/errors.go.

Every other one is UNAVAILABLE: code 1 alone means "service not ready" to the server and "anything
unexpected" to Milvus Lite."""
TYPES: Mapping[type[MilvusException], Meaning] = MappingProxyType(
    {
        MilvusException: Meaning.BY_CODE,
        vendor.ConnectError: Meaning.UNAVAILABLE,
        vendor.MilvusUnavailableException: Meaning.UNAVAILABLE,
        vendor.ConnectionNotExistException: Meaning.UNAVAILABLE,
        vendor.SchemaMismatchRetryableException: Meaning.UNAVAILABLE,
        vendor.CollectionNotExistException: Meaning.ABSENT,
        vendor.DescribeCollectionException: Meaning.BY_CODE,
        vendor.IndexNotExistException: Meaning.ABSENT,
        vendor.PartitionAlreadyExistException: Meaning.REFUSED,
        vendor.AmbiguousIndexName: Meaning.REFUSED,
        vendor.CannotInferSchemaException: Meaning.REFUSED,
        vendor.SchemaNotReadyException: Meaning.REFUSED,
        vendor.DataTypeNotMatchException: Meaning.REFUSED,
        vendor.DataTypeNotSupportException: Meaning.REFUSED,
        vendor.DataNotMatchException: Meaning.REFUSED,
        vendor.ConnectionConfigException: Meaning.REFUSED,
        vendor.PrimaryKeyException: Meaning.REFUSED,
        vendor.PartitionKeyException: Meaning.REFUSED,
        vendor.ClusteringKeyException: Meaning.REFUSED,
        vendor.FieldsTypeException: Meaning.REFUSED,
        vendor.FunctionsTypeException: Meaning.REFUSED,
        vendor.FieldTypeException: Meaning.REFUSED,
        vendor.AutoIDException: Meaning.REFUSED,
        vendor.InvalidConsistencyLevel: Meaning.REFUSED,
        vendor.ServerVersionIncompatibleException: Meaning.UNAVAILABLE,
        vendor.ParamError: Meaning.REFUSED,
    }
)
"""Every error class of pymilvus; a test proves it complete."""


def translate(error: Exception) -> Exception:
    """What an error that pymilvus raised means: an error of domain/errors.py."""
    meaning = Meaning.UNAVAILABLE  # grpc.RpcError, a timeout
    if isinstance(error, MilvusException):
        meaning = TYPES.get(type(error), Meaning.BY_CODE)
        if meaning is Meaning.BY_CODE:
            code = error.code
            # Where retries ended, `code` is a grpc.StatusCode.
            meaning = CODES.get(code, Meaning.UNAVAILABLE) if isinstance(code, int) else meaning
    kind: type[Exception] = meaning.value or errors.IndexUnavailable
    return kind()
