"""Getting every image of a stack on to this machine: pull the official ones, build ours, several at once."""

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final, NamedTuple

import docker.errors
import psutil
import requests

from images.catalog import recipes
from images.pip_settings import pip_settings
from images.recipe import REPOSITORY_PREFIX, Recipe
from images.rootfs import base_image, make_base
from infra.config import DemoConfig, Distribution
from infra.errors import DemoError, ImageError
from infra.paths import DemoHome
from infra.topology.model import Image
from toolchain.engine import Engine
from toolchain.go import GoToolchain
from toolchain.programs import PROGRAMS
from toolchain.progress import Progress, Step

__all__ = ["check_builder", "ensure_images", "missing_images"]

_COMPILERS: Final = 2
"""Programs compiled at once: linking one uses a single core, so two keep a small machine busy."""
_LAST_LINES: Final = 12


def missing_images(engine: Engine, wanted: Iterable[Image]) -> list[Image]:
    """The wanted images that the engine does not have; it is not asked for none."""
    wanted = list(wanted)
    if not wanted:
        return []
    present = engine.image_references()
    # The engine's list shortens names of registries, so what is not in it is asked for by name.
    return [image for image in wanted if image.reference not in present and not engine.has_image(image.reference)]


def check_builder(config: DemoConfig, missing: Sequence[Image]) -> None:
    """Make sure that missing images can be built on this machine, before minutes are spent on what comes first.

    Raises:
        ImageError: the packages distribution is wanted without Linux or root.
    """
    if config.distribution is not Distribution.PACKAGES or not missing:
        return
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ImageError(
            "The packages distribution makes its base image with debootstrap, which needs Linux and root; "
            "use the stack local, or run this as root."
        )


def ensure_images(
    config: DemoConfig, wanted: Iterable[Image], engine: Engine, home: DemoHome, progress: Progress
) -> None:
    """Pull or build every image that is missing; what is done stays done if a later one fails.

    Raises:
        ImageError: the first failure, once everything else that was under way has ended.
        ToolError: a program of the packages distribution cannot be built.
    """
    missing = missing_images(engine, wanted)
    check_builder(config, missing)
    if missing:
        _Builder(config, engine, home, progress).run(missing)


class _Job(NamedTuple):
    """Something to be made once ``needs`` are there; ``step`` is what progress calls it."""

    run: Callable[[], None]
    needs: frozenset[str]
    step: str


class _Builder:
    """Runs jobs as soon as the jobs that they need are done."""

    def __init__(self, config: DemoConfig, engine: Engine, home: DemoHome, progress: Progress) -> None:
        self._config = config
        self._engine = engine
        self._progress = progress
        self._home = home
        self._recipes = {recipe.image: recipe for recipe in recipes(config)}
        self._jobs: dict[str, _Job] = {}

    def run(self, missing: Iterable[Image]) -> None:
        for image in missing:
            self._plan(image)
        self._progress.plan(job.step for job in self._jobs.values())
        self._run_all()

    def _plan(self, image: Image) -> str:
        """Add the jobs that make an image; returns the name of the last one."""
        name = image.reference
        if name in self._jobs or self._engine.has_image(image.reference):
            return name
        recipe = self._recipes.get(image)
        if recipe is not None:
            needs = {self._plan(recipe.base)} if recipe.base else set[str]()
            if recipe.program:
                needs.add(self._plan_program(recipe.program))
            self._jobs[name] = self._one_step(f"image {recipe.name}", lambda step: self._build(recipe, step), needs)
        elif self._config.distribution is Distribution.PACKAGES and image == base_image():
            self._jobs[name] = self._one_step("image base", self._make_base)
        else:
            self._jobs[name] = self._one_step(f"pull {name}", lambda step: self._pull(image, step))
        return name

    def _plan_program(self, program: str) -> str:
        name = f"program {program}"
        if not PROGRAMS[program].built(self._home.tools).exists():
            self._jobs.setdefault(name, _Job(lambda: self._compile(program), frozenset(), f"build {program}"))
        return name

    def _one_step(self, name: str, work: Callable[[Step], None], needs: Iterable[str] = ()) -> _Job:
        """A job that is shown as one step."""

        def run() -> None:
            with self._progress.step(name) as step:
                work(step)

        return _Job(run, frozenset(needs), name)

    def _run_all(self) -> None:
        compilers = ThreadPoolExecutor(_COMPILERS, thread_name_prefix="compile")
        others = ThreadPoolExecutor(4, thread_name_prefix="image")
        waiting = dict(self._jobs)
        running: dict[Future[None], str] = {}
        done: set[str] = set()
        failure: DemoError | None = None
        with compilers, others, _stopping(compilers, others):
            while running or (waiting and failure is None):
                if failure is None:
                    # A job that is needed but not planned exists already (a base image that was there).
                    ready = [name for name, job in waiting.items() if not (job.needs & self._jobs.keys()) - done]
                    for name in ready:
                        pool = compilers if name.startswith("program ") else others
                        running[pool.submit(waiting.pop(name).run)] = name
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    done.add(running.pop(future))
                    error = future.exception()
                    if isinstance(error, DemoError):
                        failure = failure or error
                        # What has not begun need not.
                        running = {one: name for one, name in running.items() if not one.cancel()}
                    elif error is not None:
                        raise error
        if failure is not None:
            raise failure

    def _compile(self, program: str) -> None:
        GoToolchain.find_or_install(self._home, self._progress).build(PROGRAMS[program], self._progress)

    def _make_base(self, step: Step) -> None:
        with _engine_errors("import the image base"):
            make_base(self._engine, self._home.root, step.update)

    def _build(self, recipe: Recipe, step: Step) -> None:
        program = None
        if recipe.program:
            program = PROGRAMS[recipe.program].built(self._home.tools)
        arguments = {**pip_settings(), **recipe.build_arguments}
        with recipe.context(program) as context, _engine_errors(f"build the image {recipe.name}"):
            stream = self._engine.build(
                context,
                reference=recipe.image.reference,
                arguments=arguments,
                labels={f"{REPOSITORY_PREFIX}.recipe": recipe.name},
            )
            _follow_build(recipe, stream, step)

    def _pull(self, image: Image, step: Step) -> None:
        advice = "Set compass-demo:imageMirror to a registry that has it, or use the stack airgap."
        with _engine_errors(f"pull {image.reference}", advice):
            layers: dict[str, tuple[int, int]] = {}
            for event in self._engine.pull(image.repository, image.version):
                if "error" in event:
                    raise ImageError(f"The image {image.reference} cannot be pulled: {event['error']}. {advice}")
                detail: dict[str, Any] = event.get("progressDetail") or {}
                if event.get("status") == "Downloading" and detail.get("total"):
                    layers[event["id"]] = (detail["current"], detail["total"])
                    got, total = (sum(values) for values in zip(*layers.values(), strict=True))
                    step.update(f"{got / 1e6:.0f} of {total / 1e6:.0f} MB", done=got, total=total)


@contextlib.contextmanager
def _stopping(*pools: ThreadPoolExecutor) -> Generator[None]:
    """On Ctrl-C or an unexpected error: nothing more begins, and the compilers that run are ended."""
    try:
        yield
    except BaseException:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.terminate()
        raise


class _engine_errors:  # noqa: N801 # reads as a statement: with _engine_errors("pull …")
    """Turns what the engine or the way to it answers into one sentence."""

    def __init__(self, what: str, advice: str = "") -> None:
        self._what = what
        self._advice = f" {advice}" if advice else ""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, docker.errors.APIError):
            raise ImageError(
                f"The Docker engine could not {self._what}: {error.explanation or error}.{self._advice}"
            ) from None
        if isinstance(error, requests.RequestException):
            raise ImageError(f"The Docker engine stopped answering while it should {self._what}.") from None


def _follow_build(recipe: Recipe, stream: Iterable[Mapping[str, Any]], step: Step) -> None:
    lines: list[str] = []
    for event in stream:
        text = str(event.get("stream", "")).strip()
        if text:
            lines.append(text)
            if text.startswith("Step "):
                step.update(text[:60])
        if "error" in event:
            shown = "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])
            raise ImageError(f"The image {recipe.name} cannot be built: {event['error']}\n{shown}")
