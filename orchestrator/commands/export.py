"""What leaves a run folder: tables, an archive of the page, contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from orchestrator.commands.options import selection
from orchestrator.commands.status import read_status
from orchestrator.errors import RefusedError
from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.ledger import Fact, SqliteLedger
from orchestrator.lifecycle import State
from orchestrator.output.checked import WORDS, Checked, Condition
from orchestrator.output.discretion import Discretion
from orchestrator.output.export import TABLES, Archive, Choice, Chosen, Content, Pictures, status_of, whole
from orchestrator.output.gallery import Coder, Place, marks
from orchestrator.output.gallery.writer import HEAD, points
from orchestrator.output.sheet import SUFFIX, Look, contact_sheets
from orchestrator.runs import RunFolder
from orchestrator.sweep import Job, Schema, did_you_mean

FORMAT: Final = 1
FOLDER: Final = "exports"
KINDS: Final = (*TABLES, "zip", "sheet")
MOST_NAMED: Final = 5
"""How many files a warning names."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What a user asks for.

    Attributes:
        kinds: Some of `KINDS`.
        out: The file, or the folder of several; None for `exports/` in the run folder.
        force: Whether a file that is there already is replaced.
        only: `name=value[,value…]`, by label or value.
        states: The states of tasks; all of them if none is given.
        least_stars: How many stars a picture needs, 0 for no matter which.
        pictures: How the archive holds them.
        look: How sheets are to look.
    """

    kinds: Sequence[str]
    out: Path | None = None
    force: bool = False
    only: Sequence[str] = ()
    states: Sequence[str] = ()
    least_stars: int = 0
    pictures: Pictures = field(default_factory=Pictures)
    look: Look = field(default_factory=Look)

    @property
    def is_part(self) -> bool:
        """Whether the choice may leave anything of the run out."""
        return bool(self.only or self.states or self.least_stars)

    def target(self, run_folder: Path, stem: str, kind: str) -> Path:
        """Return where a kind of export is to stand."""
        name = f"{stem}-sheet.png" if kind == "sheet" else f"{stem}.{kind}"
        if self.out is None:
            return run_folder / FOLDER / name
        is_folder = self.out.is_dir() or len(self.kinds) > 1 or not self.out.suffix
        return self.out / name if is_folder else self.out


@dataclass(slots=True)
class Exported:
    """What was written.

    Attributes:
        tasks, outputs: How many there are in it.
        files: Where it stands, each with its kind.
        left_out: Files that pictures were to be made of and that are not what was recorded, by their paths.
        lacking: Letters that no font had.
    """

    tasks: int = 0
    outputs: int = 0
    files: list[tuple[str, Path]] = field(default_factory=list)
    left_out: dict[str, Condition] = field(default_factory=dict)
    lacking: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the object that `export --json` prints."""
        files = [{"kind": kind, "path": str(path)} for kind, path in self.files]
        damaged = sum(found is Condition.DAMAGED for found in self.left_out.values())
        counts = {"tasks": self.tasks, "outputs": self.outputs}
        lacks = {"missing": len(self.left_out) - damaged, "damaged": damaged, "left_out": sorted(self.left_out)}
        return {"format": FORMAT, "files": files, **counts, **lacks, "lacking": self.lacking}

    def summary(self) -> str:
        """Return for people what was written."""
        count = f"{self.tasks:,} {'task' if self.tasks == 1 else 'tasks'}, {self.outputs:,} outputs"
        return "\n".join([*(str(path) for _, path in self.files), count])

    def warnings(self, run_folder: Path) -> list[str]:
        """Return for people what is not as it could be."""
        found = []
        if self.left_out:
            named = [f"{path} is {WORDS[what]}" for path, what in sorted(self.left_out.items())]
            if len(named) > MOST_NAMED:
                named[MOST_NAMED:] = [f"and {len(named) - MOST_NAMED:,} more"]
            count = f"{len(self.left_out):,} {'file is' if len(self.left_out) == 1 else 'files are'}"
            found.append(
                f"{count} left out: {', '.join(named)}. `orchestrator verify {run_folder} --repair` fetches what is"
                " missing or damaged again."
            )
        if self.lacking:
            found.append(
                f"No font has these characters of the labels: {self.lacking[:40]} (--font FILE names one that has)."
            )
        return found


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that is exported, as it is at one moment: `told` is what the page knows of its job, `done` the outcome."""

    folder: RunFolder
    ledger: SqliteLedger
    job: Job
    coder: Coder
    discretion: Discretion
    choice: Choice
    marks: dict[str, Any]
    told: dict[str, Any]
    started_at: str | None
    checked: Checked
    done: Exported = field(default_factory=Exported)

    def chosen(self) -> Iterator[Chosen]:
        """Yield what is exported, always the same, and count it."""
        self.done.tasks = self.done.outputs = 0
        for each in self.choice.of(self.ledger):
            self.done.tasks += 1
            self.done.outputs += len(each.numbers)
            yield each


def export(folder: RunFolder, wanted: ExportOptions) -> Exported:
    """Write what is wanted of a run, also while a process is at work in its folder; it blocks.

    Raises:
        RefusedError: An option is wrong, nothing fits it, or something cannot be written.
        OrchestratorError: There is no run in the folder.
    """
    if not wanted.kinds:
        raise RefusedError(f"--to names nothing to write. There are {', '.join(KINDS)}.")
    _check(wanted.kinds, KINDS, "--to")
    _check(wanted.states, [state.value for state in State], "--state")
    with _opened(folder, wanted) as run:
        done = run.done
        if wanted.least_stars and not run.marks["marks"]:
            raise RefusedError(
                f"--min-rating {wanted.least_stars}: {folder.path} holds no marks. Download them from the page (Export,"
                f" Marks) and put {marks.NAME} into the run folder."
            )
        if next(run.chosen(), None) is None:
            raise RefusedError("Nothing of the run fits these options, and nothing was written.")
        for kind in dict.fromkeys(wanted.kinds):
            target = wanted.target(folder.path, run.job.folder, kind)
            replaces = wanted.force or wanted.out is None
            if kind == "sheet":
                done.files += [(kind, path) for path in _write_sheets(run, wanted.look, target, replaces=replaces)]
                if wanted.out is None:
                    _clear(target, [path for _, path in done.files])
                continue
            with whole(target, replaces=replaces) as draft:
                if kind == "zip":
                    _write_archive(run, wanted, draft, target.stem)
                else:
                    axes = tuple(run.job.axes_groups())
                    TABLES[kind](Content(run.job.name, run.job.model, axes, run.chosen), draft)
            done.files.append((kind, target))
        done.left_out = run.checked.unwell
        return done


@contextmanager
def _opened(folder: RunFolder, wanted: ExportOptions) -> Iterator[_Run]:
    with folder.opened() as opened, opened.frozen() as ledger:
        facts = ledger.facts()
        job, tool, home = resolved_job(facts), frozen_tool(facts), Path(facts[Fact.SOURCE]).parent
        coder = Coder(job, tool, home)
        started_at = facts.get(Fact.STARTED_AT)
        told = coder.job(job.name, started_at)
        held = marks.read(folder.path, told["key"])
        discretion = Discretion(job, Schema.from_tool(tool), home)
        choice = Choice(
            selection(wanted.only, job),
            frozenset(map(State, wanted.states or State)),
            wanted.least_stars,
            marks.understood(held),
            discretion,
        )
        yield _Run(folder, ledger, job, coder, discretion, choice, held, told, started_at, Checked(folder.path))


def _write_archive(run: _Run, wanted: ExportOptions, path: Path, name: str) -> None:
    """Write the page; that of a part of the run tells nothing of the rest."""
    place, coder, told, status = Place(run.folder.path), run.coder, run.told, read_status(run.folder)
    progress = points(place.read(HEAD), told["key"])
    if wanted.is_part:
        coder = coder.narrowed(each.record.task for each in run.chosen())
        told = coder.job(run.job.name, run.started_at)
        status, progress = status_of((each.record for each in run.chosen()), status), []
    if status.state == "running":
        status = replace(status, state="stopped")  # an archive does not go on
    head = {"key": told["key"], "generation": 0, "status": status.to_json(), "progress": progress}
    Archive(place, coder, told, head, run.marks, wanted.pictures, run.checked).write(path, name, run.chosen())


def _write_sheets(run: _Run, look: Look, target: Path, *, replaces: bool) -> list[Path]:
    """Write the sheets, none before all of them are drawn; return where they stand."""
    drawn = contact_sheets(run.checked, run.job, run.discretion, run.chosen(), look)
    paths = []
    with ExitStack() as drafts:
        for suffix, save in drawn.files():
            paths.append(target.with_name(f"{target.stem}{suffix}{target.suffix}"))
            save(drafts.enter_context(whole(paths[-1], replaces=replaces)), target.suffix)
    run.done.lacking = "".join(sorted(drawn.lettering.lacking))
    return paths


def _clear(target: Path, written: Sequence[Path]) -> None:
    """Take away the sheets of an earlier export that had other parts."""
    for path in set(target.parent.glob(f"*{target.suffix}")) - set(written):
        if path.stem.startswith(target.stem) and SUFFIX.fullmatch(path.stem.removeprefix(target.stem)):
            try:
                path.unlink()
            except OSError as error:
                raise RefusedError(f"{path}, an earlier export, cannot be removed: {error.strerror}.") from error


def _check(given: Sequence[str], known: Sequence[str], option: str) -> None:
    for word in given:
        if word not in known:
            hint = did_you_mean(word, known) or f"There are {', '.join(known)}."
            raise RefusedError(f"{option} {word} is not known. {hint}")
