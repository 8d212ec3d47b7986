-- Where somebody of the staff works: warehouses and cities, as JSON; {} is everywhere.

alter table users add column duties text not null default '{}';
