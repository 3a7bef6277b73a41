"""Step 3: findings -> incidents and causes. What belongs together, and what it is called."""
