"""The steps of a day, in order: each a file whose first comment says grain and key, and which may be run again."""

STEPS = (
    "staging/stg_items.sql",
    "staging/stg_shoppers.sql",
    "staging/stg_purchases.sql",
    "staging/stg_events.sql",
    "marts/items.sql",
    "marts/order_lines.sql",
    "marts/shoppers.sql",
    "marts/session_events.sql",
    "marts/carts.sql",
    "marts/impressions.sql",
)
