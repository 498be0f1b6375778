"""Roles of fields of public requests."""

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from servicekit.admission import access
from servicekit.admission.access import Role
from sightline.common.v1 import access_pb2
from sightline.vision.v1 import detection_service_pb2


def test_fields_with_roles_are_found() -> None:
    found = access.field_roles(detection_service_pb2.DetectProductsRequest.DESCRIPTOR)
    assert found == {name: {Role.READ} for name in ("stock", "heat_maps")}


def test_a_field_that_does_not_tell_whether_it_is_set_has_no_roles() -> None:
    file = FileDescriptorProto(name="vague.proto", syntax="proto3", package="vague")
    file.dependency.append(access_pb2.DESCRIPTOR.name)
    field = file.message_type.add(name="Vague").field.add(name="ids", number=1)
    field.type, field.label = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.LABEL_REPEATED
    field.options.Extensions[access_pb2.field_roles].append(access_pb2.ROLE_READ)
    access.POOL.AddSerializedFile(file.SerializeToString())
    with pytest.raises(TypeError, match=r"vague\.Vague\.ids"):
        access.field_roles(access.POOL.FindMessageTypeByName("vague.Vague"))
