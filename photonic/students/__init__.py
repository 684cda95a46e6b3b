"""Students: networks made of constrained layers only, each able to write itself as a program."""

from photonic.students.base import Student
from photonic.students.segment import SegmentConfig, segment_student

__all__ = ["SegmentConfig", "Student", "segment_student"]
