-- Snowflake only. Run as ACCOUNTADMIN after 60, where the edition is Enterprise: who reads marts to count need not know who
-- somebody is. Readers see a hash of shopper and browser ids, by which rows can still be joined and counted, and no
-- attributes; the runs, the exports and the administrator, who hold the other roles, see what is there. A policy on a
-- table holds in every view on it. IS_ROLE_IN_SESSION follows the hierarchy of roles; CURRENT_ROLE would not.
create masking policy if not exists recommender.marts.hidden_id as (id varchar) returns varchar ->
    case
        when is_role_in_session('RECOMMENDER_TRANSFORMER') or is_role_in_session('RECOMMENDER_EXPORTER') then id
        else sha2(id, 256)
    end;

create masking policy if not exists recommender.marts.hidden_attributes as (attributes variant) returns variant ->
    case
        when is_role_in_session('RECOMMENDER_TRANSFORMER') or is_role_in_session('RECOMMENDER_EXPORTER') then attributes
    end;

alter table recommender.marts.order_lines modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.session_events modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.carts modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.impressions modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.impressions modify column visitor_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.shopper_profiles modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.sessions modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.sessions modify column visitor_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.browse_sequences modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.browse_sequences modify column visitor_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.searches modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.searches modify column visitor_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.reviews modify column shopper_id set masking policy recommender.marts.hidden_id force;
alter table recommender.marts.shopper_profiles
    modify column attributes set masking policy recommender.marts.hidden_attributes force;
