"""Step 5: plan -> ruling. May this be done now, and who said what?"""
