-- The candidates of the users that this rule left ambiguous. Their contacts are not free for weaker rules.
-- Needs: pairs, settled. Parameter: rule.
INSERT INTO rivals
SELECT p.u, p.contact_id FROM pairs p JOIN settled s USING (u) WHERE s.rule = $rule AND s.contact_id IS NULL
