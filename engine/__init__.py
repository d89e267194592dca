"""dyadid"""
