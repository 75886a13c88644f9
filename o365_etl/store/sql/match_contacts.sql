-- Needs: match_outcomes().
INSERT INTO "match".contacts BY NAME FROM match_outcomes()
