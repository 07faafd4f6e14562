-- Grain: one department. Key: department. Typical gross margins of a grocer, an assumption that stands in where no
-- cost is known; `default` is for every other department. A private label earns 0.08 more (marts/items.sql).
create table if not exists marts.margin_rules (
    department varchar(128) not null,
    margin_share float not null,
    primary key (department)
);

merge into marts.margin_rules as target
using (
    select column1 as department, column2 as margin_share
    from values
        ('default', 0.30),
        ('GROCERY', 0.26),
        ('DRUG GM', 0.33),
        ('PRODUCE', 0.38),
        ('MEAT', 0.27),
        ('MEAT-PCKGD', 0.28),
        ('DELI', 0.42),
        ('PASTRY', 0.48),
        ('NUTRITION', 0.34),
        ('SEAFOOD', 0.30),
        ('SEAFOOD-PCKGD', 0.29),
        ('SALAD BAR', 0.50),
        ('COSMETICS', 0.40),
        ('FLORAL', 0.45),
        ('SPIRITS', 0.24),
        ('RESTAURANT', 0.50),
        ('GARDEN CENTER', 0.36)
) as source
    on target.department = source.department
when matched then update set margin_share = source.margin_share
when not matched then insert (department, margin_share) values (source.department, source.margin_share);
