"""Pour published tensors into a model of this course, and say what does not fit.

Everybody names the same parts differently: what GPT-2's files call ``h.3.ln_1`` is our
``blocks.3.attn_norm``. A layout is a table of such names, one line per part, with N for
the number of the block. Converting a checkpoint means to rename each tensor, to turn it
where the publisher stores it another way round, and to copy it into the parameter of
that name.

A tensor is read, converted and copied before the next one is read, so that beside the
model only one tensor is held in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lmcore.config import Config

Named = Iterable[tuple[str, Tensor]]


class SkipInit(TorchFunctionMode):
    """While it is in force, ``nn.init`` leaves tensors alone.

    Drawing random weights that the next step overwrites takes longer than reading
    the real ones.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Call ``func``, unless it would initialise a tensor."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def blank(
    model_class: Callable[[Config], nn.Module],
    config: Config,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """A model whose parameters hold whatever stood in memory, for ``fill``.

    Args:
        model_class: Such as ``GPT``.
        config: Its configuration.
        dtype: Of the parameters. Tables of positions stay in float32.
        device: Where the model shall lie.

    Returns:
        The model in evaluation mode.
    """
    with SkipInit():
        model = model_class(config)
    for parameter in model.parameters():
        parameter.data = torch.empty_like(parameter, dtype=dtype, device=device)
    for buffer in model.buffers():
        buffer.data = buffer.to(device)
    return model.eval()


def rename(name: str, layout: Mapping[str, str]) -> str | None:
    """Our name of a published tensor; None if the layout does not have it.

    Args:
        name: Such as ``h.3.ln_1.weight``.
        layout: Parts without ``.weight`` and ``.bias``, or whole names, with N for a
            number.

    Example:
        >>> rename("h.3.ln_1.weight", {"h.N.ln_1": "blocks.N.attn_norm"})
        'blocks.3.attn_norm.weight'
    """
    words = name.split(".")
    pattern = ".".join("N" if word.isdigit() else word for word in words)
    part, _, kind = pattern.rpartition(".")
    if pattern in layout:
        ours = layout[pattern]
    elif part in layout:
        ours = f"{layout[part]}.{kind}"
    else:
        return None
    for number in filter(str.isdigit, words):
        ours = ours.replace(".N.", f".{number}.", 1)
    return ours


def fill(model: nn.Module, tensors: Named) -> None:
    """Copy tensors into the parameters of the same name.

    A parameter that has two names (tied weights) may come under either name, or under
    both with the same values. dtype and device are those of the model.

    Args:
        model: Its parameters are overwritten.
        tensors: Names of the model and their tensors.

    Raises:
        ValueError: If a tensor is missing, has no place in the model, or has another
            shape; the message lists all of them.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    filled: dict[int, str] = {}
    problems = []
    for name, tensor in tensors:
        parameter = parameters.get(name)
        if parameter is None:
            problems.append(f"unexpected: {name} {list(tensor.shape)}")
        elif parameter.shape != tensor.shape:
            filled[id(parameter)] = name
            problems.append(
                f"wrong shape: {name} is {list(tensor.shape)} in the file, "
                f"{list(parameter.shape)} in the model"
            )
        elif id(parameter) not in filled:
            filled[id(parameter)] = name
            with torch.no_grad():
                parameter.copy_(tensor)
        elif not torch.equal(parameter, tensor.to(parameter)):
            first = filled[id(parameter)]
            problems.append(f"not tied: {name} differs from {first}, its twin here")
    for name, parameter in model.named_parameters():
        if id(parameter) not in filled:
            problems.append(f"missing: {name} {list(parameter.shape)}")
    if problems:
        raise ValueError(
            f"tensors: must be those of {type(model).__name__}, "
            f"but {len(problems)} do not fit\n  " + "\n  ".join(problems)
        )


def convert(
    tensors: Named,
    layout: Mapping[str, str],
    ignored: Callable[[str], bool] = lambda name: False,
) -> Iterator[tuple[str, Tensor]]:
    """The same tensors under our names.

    Args:
        tensors: Published names and tensors.
        layout: See ``rename``.
        ignored: Which published names hold no weights (masks, tables of positions).

    Yields:
        Each tensor with our name. One that the layout does not have keeps its own
        name, so that ``fill`` reports it as unexpected.
    """
    for name, tensor in tensors:
        if not ignored(name):
            yield rename(name, layout) or name, tensor
