"""The classifiers: who will not order within the churn horizon, and who will within the value horizon."""

from __future__ import annotations

from typing import Final

from training.spec import ModelSpec

STAYS_MORE_SURELY: Final = 1.2
GOES_LESS_SURELY: Final = 0.9
"""Members least likely to churn are less likely yet than trees say, and those most likely are not quite as likely."""

CHURN = ModelSpec(
    name="churn",
    label="churned",
    objective="binary",
    metric="binary_logloss",
    offset="prior_churn_logit",
    offset_weight=0.5,
    bend=(STAYS_MORE_SURELY, GOES_LESS_SURELY),
)
ORDERS = ModelSpec(
    name="orders",
    label="ordered",
    objective="binary",
    metric="binary_logloss",
    offset="prior_orders_logit",
    offset_weight=0.5,
    bend=(GOES_LESS_SURELY, STAYS_MORE_SURELY),
)
