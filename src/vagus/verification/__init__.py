"""Step 7: action -> verdict. Did it heal, by the same evidence that raised the alarm?"""
