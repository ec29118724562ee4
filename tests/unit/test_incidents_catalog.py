"""The catalogue of incidents: what it refuses, and that every incident there is can be used."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from payment_service.live_settings import LiveValues

from gateway.traceql.parser import parse
from incidents.catalog import CatalogError, UnknownIncidentError, catalog, faults, find
from incidents.model import (
    Alert,
    Compares,
    Evidence,
    Fix,
    Incident,
    Kind,
    Login,
    LookAlike,
    Oracle,
    Signal,
    Step,
)
from tests.observability.metrics import recorded, used
from tests.observability.promtool import rule_groups

INCIDENTS = tuple(catalog().values())
IDS = [incident.name for incident in INCIDENTS]
Make = Callable[..., Incident]


def evidence(signal: Signal, name: str = "it shows") -> Evidence:
    return Evidence(signal=signal, name=name, query="up", shows="It is there.", compares=Compares.rises(2))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes an incident with which nothing is wrong, and its folder."""

    def make_one(name: str = "lost-thing", rank: int = 1, **changes: Any) -> Incident:
        folder = tmp_path / name.replace("-", "_")
        for path in ("inject.sql", "recover.sql", "fixes/right/fix.sql", "fixes/unsafe/settings.toml"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("SELECT true;\n")
        fields: dict[str, Any] = {
            "title": "A thing is lost",
            "summary": "Something becomes slow.",
            "causes": ("A thing was dropped.",),
            "steps": (Step(file="inject.sql", login=Login.MIGRATION),),
            "evidence": tuple(evidence(signal) for signal in Signal),
            "alert": Alert(name="PaymentLatency"),
            "right_fixes": (Fix(does="Make it anew.", because="It is missing.", folder="fixes/right"),),
            "unsafe_fixes": (Fix(does="Restart.", because="It stays lost.", folder="fixes/unsafe"),),
            "oracle": Oracle(sql="SELECT true", says="It is there."),
            "ask": ("What is slow?",),
            "finds": "The thing is missing.",
            "bound": "Nothing grows.",
        }
        return Incident(name=name, rank=rank, folder=folder, **(fields | changes))

    return make_one


def test_an_incident_that_is_complete_passes(make: Make) -> None:
    assert faults([make(), make("other-thing", 2)]) == []


def test_names_and_ranks_are_unique(make: Make) -> None:
    assert faults([make(), make()]) == [
        "The name 'lost-thing' is that of 2 incidents.",
        "The rank 1 is that of 2 incidents.",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": ()}, "nothing injects it."),
        ({"evidence": (evidence(Signal.LOGS), evidence(Signal.TRACES))}, "there is no evidence in its metrics."),
        ({"alert": None}, "no alert belongs to it."),
        ({"oracle": None}, "no oracle says when it is fixed."),
        ({"finds": ""}, "causes, questions or answers are missing."),
        ({"bound": ""}, "it does not say what bounds the disk and memory that it takes."),
        ({"summary": ""}, "title and summary must say something."),
        (
            {"steps": (Step(file="inject.sql", login=Login.MIGRATION, meets_after=1),)},
            "a step meets another, and there is none.",
        ),
        ({"kind": Kind.DECOY}, "no alert may fire for a decoy."),
        ({"kind": Kind.CONTROL}, "a control has neither steps nor an alert."),
        (
            {"evidence": (evidence(Signal.LOGS), *(evidence(signal) for signal in Signal))},
            "2 pieces of evidence are called 'it shows'.",
        ),
        ({"look_alikes": (LookAlike(other="x-y", because="", tells=evidence(Signal.LOGS)),)}, "which does not exist."),
    ],
)
def test_a_definition_that_lacks_something_is_refused(make: Make, changes: dict[str, Any], sentence: str) -> None:
    fault, *_ = faults([make(**changes)])
    assert fault.startswith("lost-thing: ")
    assert fault.endswith(sentence)


def test_a_fix_of_each_kind_comes_as_a_folder(make: Make) -> None:
    (fault, left) = faults([make(right_fixes=(Fix(does="Make it anew.", because="It is missing."),))])
    assert fault == "lost-thing: its first right fix has no folder."
    assert left == "lost-thing: no fix uses fixes/right."


def test_the_folder_is_called_as_the_incident(make: Make) -> None:
    incident = make()
    (fault,) = faults([replace(incident, folder=incident.folder.rename(incident.folder.with_name("thing")))])
    assert fault == "lost-thing: the folder is called thing, not as the incident."


def test_a_name_has_no_underscores(make: Make) -> None:
    assert faults([make("lost_thing")]) == ["lost_thing: the name is not lower case with hyphens."]


def test_files_are_there_and_used(make: Make) -> None:
    incident = make()
    (incident.folder / "inject.sql").rename(incident.folder / "other.sql")
    (incident.folder / "fixes/right/fix.sql").rename(incident.folder / "fixes/right/fix.txt")
    (incident.folder / "fixes/unsafe/settings.toml").unlink()
    assert faults([incident]) == [
        "lost-thing: there is no file inject.sql.",
        "lost-thing: no step uses other.sql.",
        "lost-thing: fixes/right/fix.txt is not part of a fix.",
        "lost-thing: the folder fixes/unsafe of a fix is missing or empty.",
    ]


@pytest.mark.parametrize("name", ["other-thing", "OTHER_THING", "other thing"])
def test_sql_names_no_incident(make: Make, name: str) -> None:
    incident = make()
    (incident.folder / "inject.sql").write_text(f"CREATE TABLE x ();  -- {name}\n")
    assert faults([incident, make("other-thing", 2)]) == ["lost-thing: inject.sql names other-thing."]


def test_sql_does_not_sleep(make: Make) -> None:
    incident = make()
    (incident.folder / "fixes/right/fix.sql").write_text("SELECT PG_SLEEP(1);\n")
    assert faults([incident]) == ["lost-thing: fixes/right/fix.sql sleeps in the server."]


def test_look_alikes_point_at_each_other(make: Make) -> None:
    to_other = LookAlike(other="other-thing", because="Both are slow.", tells=evidence(Signal.LOGS))
    one, other = make(look_alikes=(to_other,)), make("other-thing", 2)
    assert faults([one, other]) == [
        "lost-thing: it looks like other-thing, but other-thing does not say that it looks like it."
    ]
    assert faults([one, replace(other, look_alikes=(replace(to_other, other="lost-thing"),))]) == []


def test_the_catalogue_is_in_the_order_of_the_ranks() -> None:
    assert [incident.rank for incident in INCIDENTS] == sorted(incident.rank for incident in INCIDENTS)
    assert all(catalog()[name].name == name for name in catalog())


def test_a_package_without_a_definition_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "undefined_thing").mkdir()
    (tmp_path / "undefined_thing" / "__init__.py").touch()
    monkeypatch.setattr("incidents.__path__", [str(tmp_path)])
    with pytest.raises(CatalogError, match=r"undefined_thing defines no INCIDENT"):
        catalog.__wrapped__()


def test_an_incident_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch, make: Make) -> None:
    known = {one.name: one for one in (make(), make("lost-other-thing", 2), make("slow-disk", 3))}
    monkeypatch.setattr("incidents.catalog.catalog", lambda: known)
    assert find("lost-thing") is find(" Lost_Thing ") is known["lost-thing"]
    with pytest.raises(UnknownIncidentError, match="Did you mean lost-thing or lost-other-thing") as caught:
        find("lost-thimg")
    assert caught.value.nearest == ("lost-thing", "lost-other-thing")
    with pytest.raises(UnknownIncidentError, match="Did you mean slow-disk"):
        find("disk")
    with pytest.raises(UnknownIncidentError, match="There are: lost-thing, lost-other-thing, slow-disk"):
        find("q")


@pytest.mark.parametrize("incident", INCIDENTS, ids=IDS)
def test_evidence_asks_what_the_stores_understand(incident: Incident) -> None:
    for piece in (*incident.evidence, *(look_alike.tells for look_alike in incident.look_alikes)):
        assert piece.query.count("$") in ({0, 1} if piece.signal is Signal.TRACES else {0})
        if piece.signal is Signal.METRICS:
            assert used(piece.query) <= recorded(), f"{piece.name} uses more than recording rules"
        elif piece.signal is Signal.TRACES:
            parse(piece.query.replace("$slow", "123ms").replace("$long", "61ms"))
        else:
            assert '{app="postgres"}' in piece.query or '{service="payment-service"}' in piece.query


@pytest.mark.parametrize("incident", INCIDENTS, ids=IDS)
def test_its_alert_is_one_that_prometheus_has(incident: Incident) -> None:
    alerts = {rule["alert"] for group in rule_groups() for rule in group["rules"] if "alert" in rule}
    assert incident.alert is None or incident.alert.name in alerts


@pytest.mark.parametrize("incident", INCIDENTS, ids=IDS)
def test_settings_that_it_names_are_live_settings(incident: Incident) -> None:
    names = set(incident.oracle.settings if incident.oracle else ())
    for path in incident.folder.glob("fixes/*/settings.toml"):
        names |= set(tomllib.loads(path.read_text()))
    assert names <= set(LiveValues.model_fields)
