"""Students: networks made of constrained layers only, each able to write itself as a program."""

from photonic.students.base import Student
from photonic.students.patch import PatchConfig, patch_student
from photonic.students.segment import SegmentConfig, segment_student

__all__ = ["PatchConfig", "SegmentConfig", "Student", "patch_student", "segment_student"]
