from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.emulator.models import CATALOGUE
from orchestrator.errors import Exit
from orchestrator.sweep import Callback, Job, JobFileError, Limits, Problem, Schema, load, with_uploads
from orchestrator.sweep.forms import _FORMS
from orchestrator.sweep.keys import KEYS

ROOT = Path(__file__).parents[1]
CORPUS = sorted((ROOT / "tests" / "jobs").glob("*.yaml"))
SCHEMA = Schema.from_tool(
    json.loads((ROOT / "tests/recordings/tool_detail_studio_trigger.json").read_text())["tool"][0]
)
SCHEMAS = {model.name: Schema.from_tool(model.tool) for model in CATALOGUE.values()}
"""The models of the emulator."""
NOW = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)
SECRET = "k3y-in-use"
HEAD = "model: Hevok/Studio-Trigger\n"

Read = Callable[..., Job]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a job from its text."""

    def read(text: str | bytes, *sets: str) -> Job:
        path = tmp_path / "job.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return resolved(path, *sets)

    return read


def resolved(path: Path, *sets: str) -> Job:
    file = load(path, today=NOW, sets=sets, secrets=[SECRET])
    return file.resolve(SCHEMAS.get(file.model, SCHEMA))


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("a boat #3 in blue", True),
        ("a boat # in blue", False),
        ("a boat  #blue", False),
        ('"a boat #3 in blue"', False),
        ("a boat#3", False),
        ("a boat\n     at sea #3", True),
        ("a boat\n\n     at sea # as drawn", False),
    ],
)
def test_a_text_that_ends_at_a_comment_is_told(read: Read, prompt: str, told: bool) -> None:
    """What follows ` #` is a comment for YAML; where it looks like a part of the text, it likely is one."""
    for text in (f"parameters:\n  prompt: {prompt}\n", f"sweep:\n  prompt:\n    - {prompt}\n    - b\n"):
        warnings = [each for each in read(HEAD + text).warnings if "comment" in each]
        assert len(warnings) == told
        assert all(re.search(r"job\.yaml:[34]:\d+: the text of `prompt` ends before", each) for each in warnings)


@pytest.mark.parametrize("text", ["a boat #3", "#3 boat", "it's #1", 'a "boat" #3'])
def test_a_set_value_holds_no_comments(read: Read, text: str) -> None:
    job = read(HEAD, f"prompt={text}")
    assert next(job.tasks()).parameters["prompt"] == text
    assert job.warnings == ()


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus(path: Path) -> None:
    """Each wrong file is refused where its first lines say, with the hint that they say, and for nothing else."""
    expected = re.findall(r"^# expect (\S+) (\S*): (.+?)(?: => (.+))?$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert expected
    with pytest.raises(JobFileError) as caught:
        resolved(path)
    found = [
        (_place(problem, path), problem.key_path or "-", problem.message, problem.hint or "")
        for problem in caught.value.problems
    ]
    assert len(found) == len(expected), str(caught.value)
    for (place, key, message, hint), wanted in zip(found, expected, strict=True):
        assert (place, key) == wanted[:2], str(caught.value)
        assert wanted[2] in message
        assert wanted[3] in hint
    assert caught.value.exit_code == Exit.REFUSED


def _place(problem: Problem, path: Path) -> str:
    """Return line and column, behind its name those of a file that the job file names."""
    place = f"{problem.line}:{problem.column}"
    return place if problem.file == str(path) else f"{Path(problem.file).name}:{place}"


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 80


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The file is empty"),
        (b"# nothing\n", "The file is empty"),
        (b"model: a/b\nname: \xff\n", "not UTF-8"),
        (b"model: a/b\nname: a\x00b\n", "U+0000"),
        (b"model: a/b\nname: \xed\xa0\x80\n", "not UTF-8"),
        (b"model: a/b\nname: a\x1b[31m\n", "U+001B"),
        (b'model: a/b\nname: "\\ud800"\n', ""),
        (b"model: a/b\nname: " + b"x" * 5_000_000, "over 5 MB"),
        (b"%YAML 9.9\n---\nmodel: a/b\n", "not YAML"),
        (HEAD.encode() + b"sweep: " + b"[" * 100_000, "within each other"),
        (HEAD.encode() + b"x: " + b"{a: " * 100_000, "within each other"),
        (b"- a\n", "A list was given where a job is expected"),
        (b"word\n", "`word` was given where a job is expected"),
    ],
)
def test_files_that_are_no_job(read: Read, data: bytes, message: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read(data)
    assert message in str(caught.value)
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(JobFileError, match=message):
            load(path, today=NOW)


def test_the_line_is_shown_with_a_caret(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read(HEAD + "parameters: {prompt: x, sed: 1}\n")
    place, line, caret, hint = str(caught.value).split("\n")
    assert place.endswith("job.yaml:2:25: parameters.sed: The model has no parameter `sed`.")
    assert line[caret.index("^") :].startswith("sed")
    assert hint == "  Hint: Did you mean `seed`?"


@pytest.mark.parametrize(
    "text",
    [
        f"parameters: {{prompt: x, seed: '{SECRET}'}}\n",
        f"parameters: {{prompt: x, seed: 'xx{SECRET}xx'}}\n",
        f"parameters: {{prompt: x, {SECRET}: 1}}\n",
        f"parameters: {{prompt: x, sed: 1}} # {SECRET}\n",
        f"# {SECRET}\nparameters: [ {SECRET}\n",
        "parameters: {prompt: x, api_key: hunter2}\n",
        "parameters: {prompt: x}\nx-api-key: hunter2\n",
        "parameters: {prompt: x}\nlimits: {password: hunter2}\n",
        "parameters: {prompt: x}\napi_secret: a: hunter2\n",
        "sweep: {prompt: [{value: x, token: hunter2}]}\n",
        "sweep: {prompt: [x], authorization: [hunter2]}\n",
    ],
)
def test_credentials_are_refused_and_never_shown(read: Read, text: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read(HEAD + text)
    shown = str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    assert SECRET not in shown
    assert "hunter2" not in shown


def test_a_credential_from_the_command_line_is_never_shown(read: Read) -> None:
    for option in (f"seed={SECRET}", f"{SECRET}=1", f"steps={SECRET}", SECRET):
        with pytest.raises(JobFileError) as caught:
            read(HEAD + "parameters: {prompt: x}", option)
        assert SECRET not in str(caught.value)


def test_defaults(read: Read) -> None:
    job = read(HEAD + "parameters: {prompt: x}\n")
    assert job.name == "job"
    assert job.limits == Limits(10.0, "auto", None, None, 1800.0, 60.0, 10_000)
    assert (job.retry.attempts, job.tracking, job.outputs.path, job.outputs.delete_remote) == (
        3,
        "auto",
        "{prompt}",
        False,
    )
    (task,) = job.tasks()
    assert task.axes == {}
    assert task.path == "x"
    assert job.total() == 1


@pytest.mark.parametrize(
    ("bind", "host", "port"),
    [
        ("", "127.0.0.1", 8757),
        ("callback_bind: 10.0.0.7:80\n", "10.0.0.7", 80),
        ("callback_bind: my-host:65535\n", "my-host", 65535),
        ('callback_bind: "[::1]:8757"\n', "::1", 8757),
    ],
)
def test_callbacks_come_in_at_one_address_and_are_taken_at_another(read: Read, bind: str, host: str, port: int) -> None:
    url = "https://hooks.example.com/a/b"
    job = read(f"{HEAD}parameters: {{prompt: x}}\ntracking: webhook\ncallback_url: {url}\n{bind}")
    assert (job.tracking, job.callback) == ("webhook", Callback(url, host, port))
    assert Job.from_json(json.loads(json.dumps(job.to_json()))).callback == job.callback
    earlier = {name: value for name, value in job.to_json().items() if name != "callback"}
    assert Job.from_json(earlier).callback is None


@pytest.mark.parametrize(
    "url", ['""', "/path", "https://", "https://a:b@host/", "https://host/?a=1", "https://h:99999", '"ht tps://h"']
)
@pytest.mark.parametrize("bind", ["8757", ":8757", "host", "host:70000", "a b:1"])
def test_what_is_no_address_for_callbacks_is_refused(read: Read, url: str, bind: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read(f"{HEAD}parameters: {{prompt: x}}\ntracking: webhook\ncallback_url: {url}\ncallback_bind: {bind}\n")
    assert {problem.key_path for problem in caught.value.problems} == {"callback_url", "callback_bind"}


def test_a_wrong_model_has_a_place(tmp_path: Path) -> None:
    """What is wrong with the model is told where it stands, with all else that is wrong and without credentials."""
    path = tmp_path / "job.yaml"
    path.write_text("name: x\nmodel: Hevok/Studio-Trigger\nretri: 1\n")
    file = load(path, today=NOW, secrets=[SECRET])
    model, other = file.wrong_model(f"The service has no such model ({SECRET}).", "Look it up.").problems
    assert (model.line, model.column, model.key_path, model.hint) == (2, 8, "model", "Look it up.")
    assert model.message == "The service has no such model (…)."
    assert other.line == 3


def test_settings(read: Read) -> None:
    job = read(
        HEAD + "name: {date}_{time}\n".replace("{date}", "a-{date}") + "parameters: {prompt: x}\n"
        "limits: {requests_per_second: 2.5, concurrency: 7, budget_usd: 5.00, price_usd: .01, task_timeout: 1.5h,\n"
        "  settle_after: 90, max_tasks: 3}\n"
        "retry: {attempts: 1}\ntracking: poll\noutputs: {delete_remote: true, thumbnails: false}\n"
    )
    assert not job.outputs.thumbnails
    assert job.limits == Limits(2.5, 7, Decimal(5), Decimal("0.01"), 5400.0, 90.0, 3)
    assert (job.name, job.retry.attempts, job.tracking, job.outputs.delete_remote) == (
        "a-2026-11-22_10-15-30",
        1,
        "poll",
        True,
    )


def test_a_dated_name_is_known_as_one(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    for name, dated in (("a-{date}", True), ("a", False), ("{{date}}", False)):
        path.write_text(f"{HEAD}name: '{name}'\n")
        assert load(path, today=NOW).dated is dated


def test_set_replaces_variables_axes_and_parameters(read: Read) -> None:
    text = HEAD + "name: '{style}'\nvariables: {style: [ink, oil]}\nsweep: {prompt: ['a {style}'], seed: [1, 2]}\n"
    job = read(text, "style=a b", "seed=5", "steps=7", "negativePrompt=")
    (task,) = job.tasks()
    sent = {key: task.parameters[key] for key in ("prompt", "seed", "steps", "negativePrompt")}
    assert sent == {"prompt": "a a b", "seed": "5", "steps": 7, "negativePrompt": ""}
    assert job.name == "a b"
    for wrong, message in (("sedd=1", "no parameter `sedd`"), ("steps=x", "number"), ("steps", "name=value")):
        with pytest.raises(JobFileError, match=message):
            read(text, "style=x", wrong)
    with pytest.raises(JobFileError, match="cannot stand in a name"):
        read(text)


def test_problems_are_all_shown_in_order(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read(HEAD + "limits: {max_tasks: 0}\nsweep: {prompt: []}\nretri: 1\nparameters: {steps: no, steps: 1}\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4, 5, 5]


def test_many_problems_are_cut(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read(HEAD + "parameters: {prompt: x}\n" + "".join(f"key{n}: 1\n" for n in range(100)))
    assert len(caught.value.problems) == 100
    assert str(caught.value).endswith("… and 60 more.")


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_jobs_to_start_from(path: Path) -> None:
    """Each is valid, told by its comment, small, and every task has a path of its own; the service takes each task."""
    file = load(path, today=NOW)
    model = CATALOGUE[file.model.lower()]
    job = file.resolve(SCHEMAS[file.model])
    text = path.read_text(encoding="utf-8")
    assert text.split("\n")[1].startswith("# ")
    assert max(map(len, text.split("\n"))) <= 130
    assert job.warnings == ()
    assert ("with --emulate." in text) == (file.model != SCHEMA.model)
    assert job.total() == TOTALS[path.stem]
    tasks = list(job.tasks())
    assert len({task.path for task in tasks}) == job.total()
    urls = dict.fromkeys(job.files.files, "https://cdn1.wiro.ai/x/picture.png")
    prices = [model.price_usd(with_uploads(task.parameters, job.files.places, urls), 6) for task in tasks]
    for task in tasks:
        model.check(with_uploads(task.parameters, job.files.places, urls))
    assert job.limits.budget_usd is not None
    assert sum(prices) <= job.limits.budget_usd


TOTALS = {
    "quickstart": 24,
    "studio-trigger": 84,
    "schedulers": 7,
    "seed-hunt": 8,
    "wildcards": 10,
    "sizes": 6,
    "input-picture": 6,
    "nightly": 4,
}


def test_quickstart_is_cheap() -> None:
    """24 tasks of one picture each: at the recorded 0.0035 dollars for a picture under 0.20 dollars."""
    job = load(ROOT / "jobs/quickstart.yaml", today=NOW).resolve(SCHEMA)
    pictures = sum(task.parameters["samples"] for task in job.tasks())
    assert pictures * Decimal("0.0035") < Decimal("0.20")
    assert job.limits.budget_usd == Decimal("0.20")


def examples() -> list[str]:
    text = (ROOT / "docs/job-file.md").read_text(encoding="utf-8")
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


BESIDE = {
    "harbour.png": "1",
    "inputs/cat.png": "2",
    "inputs/dog.png": "3",
    "prompts.txt": "# boats\na red boat\na blue boat\n",
    "colours.txt": "red\ndeep {blue|green}\n",
    "seeds.json": "[7, 42]",
    "styles.csv": "name,text\nink,ink wash on rough paper\noil,oil on canvas\n",
}
"""The files that the examples name."""


@pytest.mark.parametrize("text", examples())
def test_examples_of_the_reference(read: Read, tmp_path: Path, text: str) -> None:
    for name, content in BESIDE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    job = read(text)
    assert job.total() >= 1
    assert next(job.tasks()).id


def test_the_reference_has_an_example_of_each_key() -> None:
    used = set(re.findall(r"^(\w+):", "\n".join(examples()), re.MULTILINE))
    assert used == set(KEYS)


def test_the_reference_shows_each_form() -> None:
    used = set(re.findall(r"\b(\w+): ", "\n".join(examples())))
    assert used >= set(_FORMS)


WORDS = r"""
model: sweep: prompt: seed: parameters: variables: include: zip: exclude: sample: repeat: limits: order: name: outputs:
path: from: to: step: count: random: label: value: raw: all a/b - [ ] { } , : ? & * ! | > ' " # % @ ` ~ {x} &a *a <<
file: files: column: template: prompts.txt seeds.json *.txt {a|b} {2$$a|b} __x__
{{ }} !!str --- ... 1 0.5 1e3 no null 012 12:30 é 灯 \\ \u0000
"""
words = st.sampled_from([*WORDS.split(), "\t", " \n", "\n  ", "\n    ", "\n- ", "\u2028", ""])
seeds = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "jobs").glob("*.yaml"))] + examples()
seeds += [path.read_text(encoding="utf-8") for path in CORPUS]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(words | st.text(max_size=3)) + text[place + draw(st.integers(0, 5)) :]
    return text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(text=st.text() | st.lists(words).map(" ".join) | mutated())
def test_any_text_is_a_job_or_is_refused(read: Read, tmp_path: Path, text: str) -> None:
    """Whatever stands in a file, its reader ends with a job or with problems that have a place."""
    (tmp_path / "prompts.txt").write_text("a red boat\n{b|c} __x__\n")
    (tmp_path / "x.txt").write_text("{d|e}\n")
    job = None
    problems: tuple[Problem, ...] = ()
    try:
        job = read(text.encode(errors="surrogatepass"))
    except JobFileError as error:
        problems = error.problems
    assert (job is None) == bool(problems)
    assert all(problem.message.endswith(".") for problem in problems)
    if job is not None and job.total() < 10_000:
        assert len({task.id for task in job.tasks()}) == job.total()
        assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_job_or_are_refused(read: Read, data: bytes) -> None:
    with pytest.raises(JobFileError):
        read(data)


def test_a_set_value_that_cannot_be_read_is_told_once(read: Read) -> None:
    """The name that it was given for is not called wrong as well."""
    with pytest.raises(JobFileError) as caught:
        read(HEAD + "name: n-{who}\nvariables: {who: [a]}\nsweep: {prompt: [x]}\n", "who=012")
    assert [problem.file for problem in caught.value.problems] == ["--set who"]
