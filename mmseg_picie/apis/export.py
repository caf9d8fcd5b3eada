"""Export a trained model as a file that other programs run: ONNX, or torch.export's format."""

import copy
import io
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata, util
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ..evaluation.label_files import Ids
from ..models import PiCIE
from ..models.predictor import Predictor
from ..version import __version__
from .legends import describe_ids

#: Suffixes of the formats.
FORMATS = ('.onnx', '.pt2')
#: Name of the description in the file: a metadata property of ONNX, an extra file of torch.export.
DESCRIPTION = 'picie.json'
INPUT, OUTPUTS = 'images', ('ids', 'confidence')


class Exported(NamedTuple):
    """A model as a file.

    Attributes:
        content (bytes): of the file.
        suffix (str): its format, one of :data:`FORMATS`.
        size (tuple[int, int], optional): (height, width) of its images; None for any size.
        ids (Ids): what it returns.
    """

    content: bytes
    suffix: str
    size: tuple[int, int] | None
    ids: Ids


def check_packages(suffix: str) -> None:
    """Refuse a format whose packages are missing.

    Args:
        suffix (str): one of :data:`FORMATS`.

    Raises:
        ImportError: If one is missing.
        RuntimeError: If torch is too old.
    """
    names = ('onnx', 'onnxruntime', 'onnxscript') if suffix == '.onnx' else ()
    missing = [name for name in names if util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f'{suffix} needs the packages {", ".join(missing)}, which are not installed; run '
            "`pip install 'mmseg_picie[export]'`, or write a .pt2 file, which needs none."
        )
    if not hasattr(torch.compiler, 'is_exporting'):  # and with it all that is called here
        raise RuntimeError(
            f'export needs torch 2.7 or newer, but {torch.__version__} is installed; upgrade it.'
        )


def export(model: PiCIE, suffix: str, size: tuple[int, int] | None, ids: Ids) -> Exported:
    """Export the whole prediction of a model, see :class:`.Predictor`.

    Args:
        model (PiCIE): in eval mode.
        suffix (str): one of :data:`FORMATS`.
        size (tuple[int, int], optional): (height, width) of images; None for any size. The number
            of images is open in both cases, but for a network that takes only one at a fixed size.
        ids (Ids): what the file returns.

    Returns:
        Exported: its content holds :func:`describe`, too.

    Raises:
        ImportError: If a package is missing.
        RuntimeError: If torch is too old.
        ValueError: If the network cannot be exported, or not for any size, or the model has a CRF.
    """
    check_packages(suffix)
    if model.crf is not None:
        raise ValueError(
            'model.crf cannot be exported, as it is no part of the network; export with '
            '--cfg-options model.crf=None, and refine by it outside.'
        )
    # A copy, as whoever runs the file wants no gradients.
    predictor = Predictor(copy.deepcopy(model), ids.of_clusters.tolist()).requires_grad_(False)
    program, number = _trace(predictor, size)
    description = json.dumps(describe(model, ids, size, number))
    if suffix == '.onnx':
        return Exported(_to_onnx(program, description), suffix, size, ids)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # Weights that lie channels last; what is saved is read again, and checked.
        warnings.filterwarnings('ignore', 'No complete tensor', UserWarning)
        torch.export.save(program, content, extra_files={DESCRIPTION: description})
    return Exported(content.getvalue(), suffix, size, ids)


def describe(
    model: PiCIE, ids: Ids, size: tuple[int, int] | None, number: str = 'N'
) -> dict[str, Any]:
    """What goes into the file for its users: names, colours, layout, versions.

    Args:
        model (PiCIE): that is exported.
        ids (Ids): what the file returns.
        size (tuple[int, int], optional): as of :func:`export`.
        number (str): of images that it takes: 'N' for any, or '1'.

    Returns:
        dict: plain values, for JSON.
    """
    names = {'torch': 'torch', 'mmsegmentation': 'onedl-mmsegmentation', 'timm': 'timm'}
    versions = {'mmseg_picie': __version__}
    for name, package in names.items():
        for distribution in (package, name):
            try:
                versions[name] = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                continue
    shape = f'{number}, H, W' if size is None else f'{number}, {size[0]}, {size[1]}'
    return {
        'images': f'uint8 RGB, ({shape}, 3), at the scale of the training',
        'ids': f'{ids.kind} of each pixel, ({shape})',
        'confidence': f'softmax over the {len(ids.of_clusters)} clusters at the chosen one, '
        f'float32, ({shape}); not calibrated',
        'legend': {str(key): value for key, value in describe_ids(model, ids).items()},
        'versions': versions,
    }


def _trace(predictor: Predictor, size: tuple[int, int] | None) -> tuple[ExportedProgram, str]:
    """Record the predictor's operations; also says how many images it takes, 'N' or '1'."""
    stride = predictor.model.stride
    # Of another shape than any that a network may take for special.
    height, width = size or (5 * stride + 3, 7 * stride + 5)
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8, device=predictor.ids.device)
    try:
        if size is None:
            return _export(predictor, example, {0, 1, 2}), 'N'
        try:
            return _export(predictor, example, {0}), 'N'
        except Exception:  # a network that makes plain numbers of its shapes, such as Swin
            return _export(predictor, example[:1], set()), '1'
    except Exception as error:  # the tracer raises whatever the network's operations do
        what = type(predictor.model.backbone).__name__
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        which = 'any size' if size is None else f'images of {height} x {width}'
        fix = (
            '--size H W, or the config of another backbone' if size is None else 'another backbone'
        )
        raise ValueError(
            f'the backbone {what} cannot be exported for {which} ({reason}); give {fix}.'
        ) from error


def _export(predictor: Predictor, example: Tensor, open_axes: set[int]) -> ExportedProgram:
    """Trace with an example of whose axes some may have any length."""
    dims = dict.fromkeys(open_axes, Dim.DYNAMIC)
    with torch.no_grad(), _exact_padding():
        return torch.export.export(predictor, (example,), dynamic_shapes=(dims,), strict=False)


def _to_onnx(program: ExportedProgram, description: str) -> bytes:
    """The program as ONNX."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        made = torch.onnx.export(
            program, dynamo=True, input_names=[INPUT], output_names=[*OUTPUTS], verbose=False
        )
    assert made is not None
    proto = made.model_proto
    names: dict[str, str] = {}
    for value in [*proto.graph.input, *proto.graph.output]:
        for axis, dim in zip('NHW', value.type.tensor_type.shape.dim, strict=False):
            if dim.dim_param:
                dim.dim_param = names.setdefault(dim.dim_param, axis)
    del proto.graph.value_info[:]  # shapes within, by the names of before
    proto.producer_name, proto.producer_version = 'mmseg_picie', __version__
    proto.metadata_props.add(key=DESCRIPTION, value=description)
    return proto.SerializeToString()


@contextmanager
def _exact_padding() -> Iterator[None]:
    """Within, timm pads as TensorFlow does by whole numbers, which a tracer can simplify."""
    module = sys.modules.get('timm.layers.padding')
    if module is None:
        yield
        return

    def pad(x: int, kernel_size: int, stride: int, dilation: int) -> int:
        reach = (kernel_size - 1) * dilation + 1
        padding = (-(-x // stride) - 1) * stride + reach - x
        # It cannot be negative then, and a maximum of what is not known cannot be simplified.
        return padding if reach >= stride else max(padding, 0)

    with mock.patch.object(module, 'get_same_padding', pad):
        yield


def load_runner(exported: Exported) -> Any:
    """What runs an exported file, as a function of images (N, H, W, 3) on the CPU.

    Args:
        exported (Exported): of :func:`export`.

    Returns:
        Callable: takes a uint8 tensor, and returns ids and confidence as tensors.
    """
    if exported.suffix == '.pt2':
        module = torch.export.load(io.BytesIO(exported.content)).module()
        return torch.no_grad()(module)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        exported.content, options, providers=['CPUExecutionProvider']
    )

    def run(images: Tensor) -> tuple[Tensor, ...]:
        found = session.run([*OUTPUTS], {INPUT: images.numpy()})
        return tuple(torch.from_numpy(array) for array in found)

    return run
