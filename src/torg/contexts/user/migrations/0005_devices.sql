-- What a session was opened with, as people would call it.

alter table session add column device text not null default '';
