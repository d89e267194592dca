"""From a folder of Chinese policy documents to policy-instrument indices of city-years.

    folder, documents.csv --> Document: cleaned text, city, year          read, extract
    instruments.csv --> Dictionary: kind, instrument, terms               dictionary
    documents, dictionary --> counts, and every passage behind them       count
    counts --> supply, environment, demand [city, year] --> panel         index

The three kinds of instrument are those of Rothwell and Zegveld (1985), Reindustrialization and Technology:
supply (the state provides means), environment (it sets the rules and goals), demand (it makes a market).
Needs ``pip install 'dyadid[text]'``.
"""
