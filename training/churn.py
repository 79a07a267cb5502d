"""The classifiers: who will not order within the churn horizon, and who will within the value horizon."""

from __future__ import annotations

from training.spec import ModelSpec

CHURN = ModelSpec(
    name="churn",
    label="churned",
    objective="binary",
    metric="binary_logloss",
    offset="prior_churn_logit",
    offset_weight=0.5,
)
ORDERS = ModelSpec(
    name="orders",
    label="ordered",
    objective="binary",
    metric="binary_logloss",
    offset="prior_orders_logit",
    offset_weight=0.5,
)
