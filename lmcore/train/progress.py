"""What is shown while a run is under way: one bar for all of its steps."""

import os

from tqdm import tqdm

from lmcore.config import TrainConfig
from lmcore.train.distributed import World
from lmcore.train.history import History


def progress_bar(
    description: str, history: History, config: TrainConfig, world: World
) -> tqdm:
    """A bar over all steps, begun where the run goes on."""
    return tqdm(
        desc=description,
        total=config.max_steps,
        initial=history.last_step,
        unit="step",
        disable="CI" in os.environ or world.rank > 0,
    )


def show(progress: tqdm, history: History) -> None:
    """Move the bar: loss, tokens per second over the last 20 steps, time left."""
    last, before = history.steps[-1], history.steps[-20:][0]
    tokens, seconds = (last[n] - before[n] for n in ("tokens", "seconds"))
    speed = f", {tokens / seconds:,.0f} tokens/s" if seconds else ""
    progress.set_postfix_str(f"loss {last['loss']:.3f}{speed}", refresh=False)
    progress.update()
