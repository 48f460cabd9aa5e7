-- +goose Up
-- sum, as in the tables before: what notices, slots and idempotency keys say is not
-- believed from a row that a disk changed.
ALTER TABLE state_notices ADD COLUMN sum BLOB;
ALTER TABLE state_deliveries ADD COLUMN sum BLOB;
ALTER TABLE state_slots ADD COLUMN sum BLOB;
ALTER TABLE state_run_keys ADD COLUMN sum BLOB;

UPDATE state_notices SET sum = row_sum(n, dedup, made, body);
UPDATE state_deliveries SET sum = row_sum(n, notice, receiver, alarm, state, tries, next_try, ended, error);
UPDATE state_slots SET sum = row_sum(n, change, schedule, deployment, operation, slot, last, count, state, run, reason, manual, asked_by, decided);
UPDATE state_run_keys SET sum = row_sum(principal, key, digest, run, kept);

-- +goose StatementBegin
CREATE TRIGGER state_notices_made AFTER INSERT ON state_notices BEGIN
    UPDATE state_notices SET sum = row_sum(n, dedup, made, body) WHERE n = new.n;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_notices_changed AFTER UPDATE ON state_notices BEGIN
    UPDATE state_notices SET sum = row_sum(n, dedup, made, body) WHERE n = new.n;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_deliveries_made AFTER INSERT ON state_deliveries BEGIN
    UPDATE state_deliveries SET sum = row_sum(n, notice, receiver, alarm, state, tries, next_try, ended, error) WHERE n = new.n;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_deliveries_changed AFTER UPDATE ON state_deliveries BEGIN
    UPDATE state_deliveries SET sum = row_sum(n, notice, receiver, alarm, state, tries, next_try, ended, error) WHERE n = new.n;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_slots_made AFTER INSERT ON state_slots BEGIN
    UPDATE state_slots SET sum = row_sum(n, change, schedule, deployment, operation, slot, last, count, state, run, reason, manual, asked_by, decided) WHERE n = new.n;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_slots_changed AFTER UPDATE ON state_slots BEGIN
    UPDATE state_slots SET sum = row_sum(n, change, schedule, deployment, operation, slot, last, count, state, run, reason, manual, asked_by, decided) WHERE n = new.n;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_run_keys_made AFTER INSERT ON state_run_keys BEGIN
    UPDATE state_run_keys SET sum = row_sum(principal, key, digest, run, kept) WHERE principal = new.principal AND key = new.key;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_run_keys_changed AFTER UPDATE ON state_run_keys BEGIN
    UPDATE state_run_keys SET sum = row_sum(principal, key, digest, run, kept) WHERE principal = new.principal AND key = new.key;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER state_run_keys_changed;
DROP TRIGGER state_run_keys_made;
ALTER TABLE state_run_keys DROP COLUMN sum;
DROP TRIGGER state_slots_changed;
DROP TRIGGER state_slots_made;
ALTER TABLE state_slots DROP COLUMN sum;
DROP TRIGGER state_deliveries_changed;
DROP TRIGGER state_deliveries_made;
ALTER TABLE state_deliveries DROP COLUMN sum;
DROP TRIGGER state_notices_changed;
DROP TRIGGER state_notices_made;
ALTER TABLE state_notices DROP COLUMN sum;
