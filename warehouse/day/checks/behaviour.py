"""Whether what shoppers did can be joined: tokens with claims, clicks with impressions, browsers with one user."""

from __future__ import annotations

from typing import Final

from warehouse.day.checks.check import WINDOW, Check, share

MOST_USERS: Final = 5  # of one browser; a household shares one

CLICKS: Final = f"""
    with clicks as (
        select
            event_id,
            event_time,
            claims:recommendation_id::varchar as recommendation_id,
            claims:placement::varchar as placement
        from staging.stg_events
        where event_name = 'select_item' and claims:recommendation_id::varchar is not null and {WINDOW}
    ),

    shown as (
        select distinct recommendation_id, placement
        from marts.impressions
        where shown_at >= (select dateadd(day, -2, min(event_time)) from clicks)
    )
"""  # noqa: S608
JOINED: Final = """
    from clicks left join shown
        on clicks.recommendation_id = shown.recommendation_id and clicks.placement = shown.placement
"""

BROWSERS: Final = f"""
    select visitor_id, count(distinct user_id) as count_users
    from staging.stg_events
    where user_id is not null and {WINDOW}
    group by visitor_id, to_date(event_time)
"""  # noqa: S608

CHECKS: Final = (
    share(
        "impressions_without_claims",
        "warn",
        "staging.stg_events",
        "claims:recommendation_id::varchar is null",
        tolerance=0.02,
        where=f"event_name = 'view_item_list' and visible and attribution_token is not null and {WINDOW}",
        show="event_id, item_list_id, event_time",
        meaning="Lists were shown with a token that could not be verified: no experiment counts them.",
        remedy="A key was changed while pages were open, or the storefront sends tokens of another stage.",
    ),
    Check(
        "clicks_without_impression",
        "warn",
        f"{CLICKS} select count(*) as count_checked,"
        f" coalesce(sum(iff(shown.recommendation_id is null, 1, 0)), 0) as count_failed {JOINED}",
        "Clicks name a list that was never reported as shown: click-through would come out too high.",
        "The storefront reports clicks but loses impressions: see its batching, and what blocks its beacon.",
        0.1,
        f"{CLICKS} select clicks.event_id, clicks.placement, clicks.event_time {JOINED}"
        " where shown.recommendation_id is null",
    ),
    share(
        "impression_propensities",
        "warn",
        "marts.impressions",
        "propensity is null or propensity <= 0 or propensity > 1",
        where="experiment is not null and not is_holdout"
        " and shown_at >= %(loaded_from)s::timestamp_ntz and shown_at < %(loaded_until)s::timestamp_ntz",
        show="recommendation_id, placement, propensity",
        meaning="Impressions of an experiment have no usable propensity; off-policy estimates leave them out.",
        remedy="Look at the version of the token that the serving side writes.",
    ),
    Check(
        "shared_visitors",
        "warn",
        f"select count(*) as count_checked, coalesce(sum(iff(count_users > {MOST_USERS}, 1, 0)), 0) as count_failed"  # noqa: S608
        f" from ({BROWSERS}) as browsers",
        f"One visitor id belongs to more than {MOST_USERS} users on a day: sessions of strangers run together.",
        "A kiosk, a proxy that caches the cookie, or an app that ships one id: give each browser its own.",
        0.001,
        f"select sha2(visitor_id, 256) as visitor_hash, count_users from ({BROWSERS}) as browsers"  # noqa: S608
        f" where count_users > {MOST_USERS} order by count_users desc",
    ),
)
