"""What can be read without a token, and what no request passes."""

from __future__ import annotations
