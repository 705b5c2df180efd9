"""What the processor multiplies in hardware: an x86 one under Linux says so, of others nothing is known.

Not knowing is slower and never wrong: then all is computed in float32. `ONEDNN_MAX_CPU_ISA`, by which oneDNN is told to
use fewer instructions, holds back the same here (https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html).
"""

from __future__ import annotations

import os
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = set(_CPUINFO.read_text().split()) if _CPUINFO.is_file() else set()
_ALLOWED = os.environ.get("ONEDNN_MAX_CPU_ISA", "DEFAULT").upper()
_ALL_ALLOWED = _ALLOWED in ("ALL", "DEFAULT") or any(part in _ALLOWED for part in ("BF16", "FP16", "AMX", "AVX10"))

HAS_BFLOAT16 = _ALL_ALLOWED and bool(_FLAGS & {"avx512_bf16", "amx_bf16"})
"""Whether it multiplies bfloat16. One that emulates it did 14 paragraphs a second by compact, and 270 in float32.
OpenVINO can't be asked: it lists bfloat16 also where it is emulated."""

HAS_VNNI = (_ALL_ALLOWED or "VNNI" in _ALLOWED) and bool(_FLAGS & {"avx512_vnni", "avx_vnni"})
"""Whether it adds products of 8-bit numbers in 32 bits. Without VNNI an x86 one adds two of them in 16, and
2 x 255 x 127 overflows."""
