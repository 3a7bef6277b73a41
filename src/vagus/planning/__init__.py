"""Step 4: causes -> plan. Playbooks are data; no condition lives in them."""
