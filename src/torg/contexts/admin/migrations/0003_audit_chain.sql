-- Each line of the trail names the program that acted, has what it was about as it was and as it became, and a digest over itself and all lines before it.
-- Lines that are older than this have none.

alter table audit add column client text not null default '';
alter table audit add column before text not null default '';
alter table audit add column after text not null default '';
alter table audit add column number bigint not null default 0;
alter table audit add column digest text not null default '';

create index audit_numbered on audit (number) where number > 0;
