"""The steps of a day, in order: each a file whose first comment says grain and key, and which may be run again."""

STEPS = (
    "staging/touched.sql",
    "staging/stg_items.sql",
    "staging/stg_shoppers.sql",
    "staging/stg_purchases.sql",
    "staging/stg_reviews.sql",
    "staging/stg_events.sql",
    "staging/visit_events.sql",
    "marts/item_history.sql",
    "marts/order_lines.sql",
    "marts/shopper_profiles.sql",
    "marts/session_events.sql",
    "marts/sessions.sql",
    "marts/browse_sequences.sql",
    "marts/searches.sql",
    "marts/carts.sql",
    "marts/impressions.sql",
    "marts/reviews.sql",
    "marts/item_popularity_daily.sql",
)
REPORTED = (*STEPS, "checks", "commit")  # what a run says it begins
