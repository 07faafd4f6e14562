-- The layers. raw is append-only; staging is typed and free of duplicates; marts join; exports are the
-- versioned views that training reads; ops and quality keep the books.
create schema if not exists raw;
create schema if not exists staging;
create schema if not exists marts;
create schema if not exists exports;
create schema if not exists ops;
create schema if not exists quality;
