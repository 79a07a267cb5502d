"""Pictures say what was asked, name their units and leave nothing open."""

import numpy as np
import pandas as pd
import pytest

from training.evaluate import decile_table
from training.explain import (
    SHOWN_MEMBERS,
    as_svg,
    decile_figure,
    family_figure,
    gain_figure,
    reliability_figure,
    shap_figure,
)


def scored_members(members=2000):
    rng = np.random.default_rng(0)
    probability = rng.beta(2, 2, members)
    return (rng.random(members) < probability).astype(float), probability


def contributions_and_values(members):
    rng = np.random.default_rng(1)
    values = pd.DataFrame(rng.normal(size=(members, 3)), columns=["recency_days", "order_days", "visits_28d"])
    values.loc[: members // 2, "visits_28d"] = np.nan
    contributions = values.fillna(0) * [0.8, -0.4, 0.1]
    return contributions.assign(own_rhythm=rng.normal(size=members)), values


def labels_of(figure):
    axes = figure.axes[0]
    return axes.get_xlabel(), axes.get_ylabel()


def test_reliability_shows_the_error_beside_what_a_perfect_model_would_have():
    figure = reliability_figure(*scored_members())
    assert labels_of(figure) == ("Predicted probability of churn", "Share that churned")
    assert "Calibration error 0.0" in figure.axes[0].get_title(loc="left")


def test_deciles_are_drawn_side_by_side_in_their_unit():
    churned, probability = scored_members()
    figure = decile_figure(decile_table(100 * churned, 100 * probability), quantity="value in 91 days (CNY)")
    assert labels_of(figure)[1] == "Mean value in 91 days (CNY)"
    assert len(figure.axes[0].patches) == 20


def test_gain_compares_models_with_the_best_and_with_chance():
    churned, probability = scored_members()
    figure = gain_figure(churned, {"winback": probability, "recency only": probability**2}, quantity="churners")
    drawn = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert drawn == ["winback", "recency only", "best possible", "at random"]


def test_shap_summary_names_the_features_and_draws_a_bounded_sample():
    figure = shap_figure(*contributions_and_values(SHOWN_MEMBERS + 500))
    named = {label.get_text() for label in figure.axes[0].get_yticklabels()}
    assert named == {"recency_days", "order_days", "visits_28d", "own_rhythm"}
    assert f"{SHOWN_MEMBERS:,} members" in figure.axes[0].get_title(loc="left")
    points = max(len(collection.get_offsets()) for collection in figure.axes[0].collections)
    assert points <= SHOWN_MEMBERS


def test_families_add_up_their_features_member_by_member():
    contributions = pd.DataFrame({"a": [1.0, -1.0], "b": [-1.0, 1.0], "c": [0.5, -0.5]})
    figure = family_figure(contributions, {"a": "rfm", "b": "rfm", "c": "care"})
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == pytest.approx([0.0, 0.5])


def test_a_figure_is_the_same_svg_in_every_run():
    churned, probability = scored_members()
    first, second = (as_svg(gain_figure(churned, {"ours": probability}, quantity="churners")) for _ in range(2))
    assert first == second
    assert first.startswith("<svg")


def test_no_figure_is_left_open():
    from matplotlib import pyplot

    as_svg(shap_figure(*contributions_and_values(50)))
    assert pyplot.get_fignums() == []
