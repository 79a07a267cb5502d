"""Promoting and rolling back registered models by command; every decision leaves its reason."""

import pytest
from builders import small_bundle, small_frames, small_programme

from features.errors import RefusedError
from features.settings_members import Windows
from features.sources import load_tables
from serving import registry
from serving.bundle import ModelBundle
from serving.mlflow_home import connect
from serving.registry import champion_number, load_champion, notes
from training.champions import judge, promote, rollback
from training.promote import Promotion


def register(bundle: ModelBundle, programme) -> int:
    connect(programme)
    import mlflow

    with mlflow.start_run():
        return registry.register_bundle(bundle, programme)


def changed(bundle: ModelBundle, **fields) -> ModelBundle:
    return ModelBundle(**{**{name: getattr(bundle, name) for name in ModelBundle.model_fields}, **fields})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return small_programme(tmp_path_factory.mktemp("shop"), small_frames(members=150))


@pytest.fixture
def programme(shop, request):
    """The shop with a model of this test's own in the common registry."""
    name = f"model_{request.node.name}"[:40]
    return shop.model_copy(update={"output": shop.output.model_copy(update={"model": name})})


@pytest.fixture
def champion(programme):
    """The first model registered, and so champion."""
    bundle = small_bundle(programme, trained_until="2025-04-01")
    assert register(bundle, programme) == 1
    return bundle


def promoted(programme, number=None, *, force=False, reason=None):
    return promote(programme, number, force=force, reason=reason, step=str)


def test_an_equal_challenger_is_promoted_on_what_neither_has_seen(programme, champion):
    register(changed(champion, value_factor=champion.value_factor * 1.0001), programme)
    result = promoted(programme, reason="the weekly review agreed")
    assert (result.record["champion"], result.record["replaced"]) == (2, 1)
    assert champion_number(programme) == 2
    assert notes(programme, 2)["promoted"].startswith("the weekly review agreed; not worse in log_loss")


def test_a_worse_challenger_is_refused_and_the_reason_stays_with_it(programme, champion):
    register(changed(champion, value_factor=40.0), programme)
    with pytest.raises(RefusedError, match=r"version 2 stays challenger: tweedie_deviance .*--force"):
        promoted(programme)
    assert champion_number(programme) == 1
    assert "tweedie_deviance" in notes(programme, 2)["held_back"]
    assert "held_back_at" in notes(programme, 2)


def test_force_promotes_unjudged_and_a_rollback_undoes_it(programme, champion):
    register(changed(champion, value_factor=40.0), programme)
    promoted(programme, 2, force=True, reason="an emergency")
    assert notes(programme, 2)["promoted"] == "an emergency; forced, not judged"
    result = rollback(programme, reason="values forty times too high", step=str)
    assert (result.record["champion"], result.record["replaced"]) == (1, 2)
    assert load_champion(programme) == champion
    assert notes(programme, 2)["rolled_back"] == "values forty times too high"
    with pytest.raises(RefusedError, match="no other champion to go back to"):
        rollback(programme, reason=None, step=str)


def test_what_is_champion_is_not_promoted_again(programme, champion):
    with pytest.raises(RefusedError, match=r"version 1 of model '.*' is champion already"):
        promoted(programme)


def test_without_any_model_there_is_nothing_to_promote(programme):
    with pytest.raises(RefusedError, match="run `winback train` first"):
        promoted(programme)


def test_even_force_cannot_promote_a_model_that_looks_another_number_of_days_ahead(programme, champion):
    register(changed(champion, churn_days=14), programme)
    with pytest.raises(RefusedError, match="version 2 looks 14 days ahead for churn"):
        promoted(programme, 2, force=True)


def test_a_champion_whose_window_the_programme_has_dropped_gives_way_unjudged(programme):
    wider = programme.model_copy(update={"windows": Windows(days=(28, 91, 182, 364))})
    champion = small_bundle(wider, trained_until="2025-04-01")
    register(champion, wider)
    verdict = judge(load_tables(programme, threads=1), programme.instant("2026-01-05"), programme)
    assert (verdict.promote, verdict.checks) == (True, ())
    register(changed(champion, value_factor=2.0), wider)
    with pytest.raises(RefusedError, match=r"version 2 needs features that the programme no longer has: .*_182d"):
        promoted(programme, 2, force=True)


def test_another_programmes_champion_is_no_yardstick(programme, champion):
    copy = programme.model_copy(update={"name": "copy"})
    assert judge(load_tables(programme, threads=1), copy.instant("2026-01-05"), copy).promote
    register(changed(champion, value_factor=2.0), programme)
    with pytest.raises(RefusedError, match="version 2 is programme 'small''s, not 'copy''s"):
        promoted(copy, 2, force=True)


def test_a_challenger_that_has_seen_the_window_is_judged_by_one_trained_before_it(programme, champion, monkeypatch):
    from training import champions

    loaded = load_tables(programme, threads=1)
    seen = changed(champion, trained_until=programme.instant("2026-01-01"))
    asked = []

    def rehearse(loaded, window, programme, *, growth):
        asked.append(programme.local_date(window).isoformat())
        raise RefusedError("nothing to learn from")

    monkeypatch.setattr(champions, "rehearse", rehearse)
    verdict = judge(loaded, programme.instant("2026-01-05"), programme, challenger=seen)
    assert asked == ["2025-10-06"]
    assert verdict == Promotion(promote=False, reason="cannot be compared: nothing to learn from")
