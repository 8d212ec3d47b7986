-- Each line of the trail names the right that it took; its digest is over that as well. Lines that are older than this have none.

alter table audit add column by_right text not null default '';
